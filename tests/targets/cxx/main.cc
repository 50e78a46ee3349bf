// A C++ program on Crossfoot, linked with it or run under it: every form of `new` and `delete`, with memory and
// without, with a new-handler and without. Prints what happened, a line for each.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <new>

namespace {

constexpr std::size_t huge = SIZE_MAX / 4;
const std::align_val_t wide{4096};

int calls;

void give_up() {
    // Two rounds without memory, then none is expected any more.
    if (++calls == 3) {
        calls = 0;
        std::set_new_handler(nullptr);
    }
}

void throw_number() { throw 42; }

struct Whole {
    long content[3];
};

struct alignas(256) Wide {
    char content[300];
};

bool aligned(const void* p, std::uintptr_t to) { return reinterpret_cast<std::uintptr_t>(p) % to == 0; }

void say(const char* what, bool right) { std::printf("%s %s\n", right ? "right" : "WRONG", what); }

// The size is a secret to the compiler, which would refuse it.
std::size_t hidden(std::size_t size) {
    volatile std::size_t kept = size;
    return kept;
}

// Keeps the compiler from dropping an unused allocation.
void* volatile last;
void use(void* p) { last = p; }

template <class Call> const char* thrown_by(Call call) {
    // An object with a destructor: the frames between are unwound, not left.
    struct Guard {
        bool& gone;
        ~Guard() { gone = true; }
    };
    bool gone = false;
    const char* what = "nothing";
    try {
        Guard guard{gone};
        call();
    } catch (const std::bad_alloc&) {
        what = "bad_alloc";
    } catch (int) {
        what = "number";
    }
    return gone ? what : "no unwinding";
}

template <class Call> void must_throw(const char* name, Call call, const char* wanted) {
    const char* thrown = thrown_by(call);
    std::printf("%s %s throws %s\n", std::strcmp(thrown, wanted) == 0 ? "right" : "WRONG", name, thrown);
}

void with_memory() {
    Whole* one = new Whole;
    Whole* many = new Whole[1000];
    Wide* wide_one = new Wide;
    Wide* wide_many = new Wide[50];
    say("new", one && many && aligned(one, 16) && aligned(many, 16));
    say("aligned new", aligned(wide_one, 256) && aligned(wide_many, 256));
    std::memset(many, 1, 1000 * sizeof *many);
    std::memset(wide_many, 1, 50 * sizeof *wide_many);
    delete one;
    delete[] many;
    delete wide_one;
    delete[] wide_many;
    delete static_cast<Whole*>(nullptr);

    // Each operator by its own name.
    for (std::size_t size : {std::size_t(0), std::size_t(1), std::size_t(100), std::size_t(100000)}) {
        void* p[8] = {
            ::operator new(size),       ::operator new(size, std::nothrow),       ::operator new(size, wide),
            ::operator new[](size),     ::operator new[](size, std::nothrow),     ::operator new[](size, wide),
            ::operator new(size, wide, std::nothrow), ::operator new[](size, wide, std::nothrow),
        };
        bool good = true;
        for (int i = 0; i < 8; i++)
            good = good && p[i] && aligned(p[i], i % 3 == 2 || i > 5 ? 4096 : 16);
        say("operators", good);
        ::operator delete(p[0], size);
        ::operator delete(p[1], std::nothrow);
        ::operator delete(p[2], size, wide);
        ::operator delete[](p[3], size);
        ::operator delete[](p[4], std::nothrow);
        ::operator delete[](p[5], wide, std::nothrow);
        ::operator delete(p[6], wide, std::nothrow);
        ::operator delete[](p[7], size, wide);
        ::operator delete[](::operator new[](size, wide), wide);
        ::operator delete(::operator new(size, wide), wide);
        ::operator delete[](::operator new[](size));
    }
}

void without_memory() {
    must_throw("new", [] { use(::operator new(hidden(huge))); }, "bad_alloc");
    must_throw("new[]", [] { use(new char[hidden(huge)]); }, "bad_alloc");
    must_throw("aligned new", [] { use(::operator new(hidden(huge), wide)); }, "bad_alloc");
    must_throw("aligned new[]", [] { use(::operator new[](hidden(huge), wide)); }, "bad_alloc");
    must_throw("new aligned to 3", [] { use(::operator new(16, std::align_val_t(hidden(3)))); }, "bad_alloc");
    say("nothrow new returns null", !::operator new(hidden(huge), std::nothrow));
    say("nothrow new[] returns null", !::operator new[](hidden(huge), std::nothrow));
    say("aligned nothrow new returns null", !::operator new(hidden(huge), wide, std::nothrow));
    say("aligned nothrow new[] returns null", !::operator new[](hidden(huge), wide, std::nothrow));
}

template <class Call> void after_three(const char* name, Call call) {
    std::set_new_handler(give_up);
    calls = 0;
    call();
    say(name, std::get_new_handler() == nullptr && calls == 0);
}

void with_handler() {
    after_three("the handler of new is called", [] { thrown_by([] { use(::operator new(hidden(huge))); }); });
    after_three("the handler of nothrow new is called", [] { use(::operator new(hidden(huge), std::nothrow)); });
    after_three("the handler of aligned new is called", [] { thrown_by([] { use(::operator new(hidden(huge), wide)); }); });
    std::set_new_handler(throw_number);
    must_throw("the handler of new", [] { use(::operator new(hidden(huge))); }, "number");
    must_throw("the handler of aligned new[]", [] { use(::operator new[](hidden(huge), wide)); }, "number");
    say("what the handler of nothrow new throws is caught", !::operator new(hidden(huge), std::nothrow));
    say("what the handler of aligned nothrow new[] throws is caught",
        !::operator new[](hidden(huge), wide, std::nothrow));
    std::set_new_handler(nullptr);
}

} // namespace

int main() {
    with_memory();
    without_memory();
    with_handler();
    // The frames are unwound as often as one likes.
    bool good = true;
    for (int i = 0; i < 1000; i++)
        good = good && !std::strcmp(thrown_by([] { use(::operator new(hidden(huge))); }), "bad_alloc");
    say("a thousand exceptions", good);
    return 0;
}
