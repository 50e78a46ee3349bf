// What the cases of the edge table share: how arguments are named, how an answer is described, a line for each case.

#ifndef CASE_H
#define CASE_H

#include <stddef.h>
#include <stdint.h>

// Arguments with the names that they have in the table.
struct number {
    const char *name;
    size_t value;
};

extern const struct number sizes[];  // every size, up to one without a name
extern const struct number few[];    // a size of each kind of object, and the impossible ones
extern const struct number kinds[];  // a size of each kind of object
extern const struct number aligns[]; // every alignment

#define EACH(one, of) for (const struct number *one = of; one->name; one++)

// Begins a case: its key, as printf makes it, and errno as a mark.
void begin(const char *key, ...) __attribute__((format(printf, 1, 2)));

// How a call ended in errno, to be called right after it.
void ended(void);

// Ends a case with the line "key => what, errno".
void say(const char *what, ...) __attribute__((format(printf, 1, 2)));

// Ends a case whose answer is an object of `size` bytes, or null; frees it.
void say_object(void *p, size_t size, size_t align, size_t zero);

// Describes an object into a buffer that the next call overwrites: its alignment, as far as `align` asks for it,
// whether it has `size` bytes, and whether the first `zero` are zero. All that it has can be written.
const char *object(void *p, size_t size, size_t align, size_t zero);

// Writes a pattern over an object; how many of the first `size` bytes still have it.
void paint(void *p, size_t size);
size_t painted(const void *p, size_t size);

// Returns the function of this name, or null if it does not exist.
void *function(const char *name);

// What `malloc_usable_size` says.
size_t usable(void *p);

void cases_of_glibc(void);
void cases_of_introspection(void);
void cases_of_others(void);
void cases_of_cxx(void);
void cases_of_heaps(void);

#endif
