// `thread_local` objects whose destructors allocate and free, some made only while others are destroyed, and callers of
// `__cxa_thread_atexit_impl`, which is what they are made of.
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

extern "C" int __cxa_thread_atexit_impl(void (*function)(void *), void *object, void *library);
extern "C" void *__dso_handle;

static int destroyed;

struct Late {
    std::string text = std::string(300, 'l');
    ~Late()
    {
        std::vector<std::string> more(50, text);
        __atomic_fetch_add(&destroyed, more.size() == 50, __ATOMIC_RELAXED);
    }
};

struct Early {
    std::vector<std::unique_ptr<char[]>> objects;
    ~Early()
    {
        // Made while the thread's objects are being destroyed, and destroyed after this one.
        static thread_local Late late;
        late.text += "more";
        for (int i = 0; i < 20; i++)
            objects.emplace_back(new char[i * 5000 + 1]);
        __atomic_fetch_add(&destroyed, 1, __ATOMIC_RELAXED);
    }
};

static void called_at_the_end(void *object)
{
    static_cast<std::string *>(object)->append(1000, 'x');
    delete static_cast<std::string *>(object);
    __atomic_fetch_add(&destroyed, 1, __ATOMIC_RELAXED);
}

int main()
{
    for (int i = 0; i < 100; i++)
        std::thread([] {
            static thread_local Early early;
            early.objects.emplace_back(new char[10]);
            __cxa_thread_atexit_impl(called_at_the_end, new std::string(100, 'o'), &__dso_handle);
        }).join();
    std::printf("%d\n", destroyed);
}
