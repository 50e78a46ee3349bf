// The object that loader.c loads: 2 if `new` threw `std::bad_alloc`, and the `new` that does not throw returned null
// though the new-handler threw.

#include <cstdint>
#include <new>

namespace {
struct Mine {};
}

extern "C" int attempt() {
    volatile std::size_t size = SIZE_MAX / 4;
    try {
        char* volatile p = new char[size];
        return p == nullptr;
    } catch (const std::bad_alloc&) {
    }
    std::set_new_handler([] { throw Mine(); });
    char* volatile p = new (std::nothrow) char[size];
    return p == nullptr ? 2 : 3;
}
