// Exceptions that hold objects, thrown across frames, caught and thrown again in other threads; and a new-handler that
// is called until there is memory, or throws.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

struct Loaded : std::runtime_error {
    std::vector<std::string> load;
    explicit Loaded(int n) : std::runtime_error(std::string(n, 'w')), load(n, std::string(200, 'l')) {}
};

static int thrown, caught;

__attribute__((noinline)) static int deeper(int depth)
{
    std::string here(100 + depth, 'h');
    std::vector<char> there(depth * 1000);
    if (depth == 0) {
        thrown++;
        throw Loaded(20);
    }
    return deeper(depth - 1) + int(here.size() + there.size());
}

static std::exception_ptr catch_it()
{
    try {
        deeper(30);
    } catch (...) {
        return std::current_exception();
    }
    return nullptr;
}

static void throw_again(const std::exception_ptr &kept)
{
    try {
        std::rethrow_exception(kept);
    } catch (const Loaded &loaded) {
        __atomic_fetch_add(&caught, loaded.load.size() == 20 && std::string(loaded.what()).size() == 20, __ATOMIC_RELAXED);
    }
}

static int handled;

static void give_up_in_time()
{
    if (++handled == 3)
        std::set_new_handler(nullptr);
}

struct Enough {};

static void throw_from_the_handler()
{
    throw Enough();
}

int main()
{
    for (int i = 0; i < 50; i++) {
        std::exception_ptr kept = catch_it();
        std::thread one([&] { throw_again(kept); }), two([&] { throw_again(kept); });
        one.join();
        two.join();
        // Made here, destroyed by the thread that is the last to let it go.
        std::thread last([](std::exception_ptr mine) { throw_again(mine); }, std::move(kept));
        last.join();
        // Made in a thread that is gone when it is destroyed.
        std::thread([&] { kept = catch_it(); }).join();
        throw_again(kept);
    }
    std::printf("%d %d\n", thrown, caught);

    // More than any address space has, but no more than `malloc` may be asked for.
    volatile std::size_t all = PTRDIFF_MAX - 4096;
    int bad = 0, enough = 0;
    std::set_new_handler(give_up_in_time);
    try {
        delete[] new char[all];
    } catch (const std::bad_alloc &) {
        bad = 1;
    }
    bad += ::operator new(all, std::nothrow) == nullptr;
    std::set_new_handler(throw_from_the_handler);
    try {
        ::operator delete(::operator new(all));
    } catch (const Enough &) {
        enough = 1;
    }
    std::set_new_handler(nullptr);
    delete new int(3);
    std::printf("%d %d %d\n", handled, bad, enough);
}
