// The object that loader.c loads: 2 if `new` threw `std::bad_alloc`.

#include <cstdint>
#include <new>

extern "C" int attempt() {
    volatile std::size_t size = SIZE_MAX / 4;
    try {
        char* volatile p = new char[size];
        return p == nullptr;
    } catch (const std::bad_alloc&) {
        return 2;
    }
}
