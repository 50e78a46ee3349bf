// A program that replaces `new(size_t)` and `delete(void*)` only. The standard defines the other unaligned forms by
// these two, so every object comes from the program's pool and goes back there. Prints the two counts.

#include <cstdio>
#include <cstdlib>
#include <new>

static char pool[1 << 20];
static std::size_t used;
static long made, freed;

void* operator new(std::size_t size) {
    if (size > sizeof pool)
        throw 42;
    used = (used + 15) / 16 * 16;
    void* p = pool + used;
    used += size;
    made++;
    return p;
}

void operator delete(void* p) noexcept {
    if (p)
        freed++;
    if (p && (p < pool || p >= pool + sizeof pool))
        std::puts("WRONG: not of the pool");
}

int main() {
    volatile std::size_t size = 100;
    ::operator delete(::operator new(size), size);
    ::operator delete(::operator new(size, std::nothrow), std::nothrow);
    ::operator delete[](::operator new[](size), size);
    ::operator delete[](::operator new[](size, std::nothrow), std::nothrow);
    ::operator delete[](::operator new[](size));
    // What the program's operator throws does not leave the nothrow forms.
    size = sizeof pool + 1;
    bool null = !::operator new(size, std::nothrow) && !::operator new[](size, std::nothrow);
    std::printf("made %ld, freed %ld, %s\n", made, freed, null ? "null" : "WRONG");
    return 0;
}
