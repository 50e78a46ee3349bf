// A program of a user who has Crossfoot installed: its header, its library, and its own names.

#include <crossfoot.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void) {
    char *p = mallocx(1000, MALLOCX_ZERO | MALLOCX_ALIGN(256));
    if (!p || (size_t)p % 256 || p[999] || sallocx(p, 0) != nallocx(1000, MALLOCX_LG_ALIGN(8)))
        return 1;
    strcpy(p, "content");
    p = rallocx(p, 100000, 0);
    if (!p || strcmp(p, "content") || malloc_size(p) != malloc_good_size(100000))
        return 2;
    if (reallocarr(&p, 3, 5) || memcmp(p, "content", 7))
        return 3;
    p = recallocarray(p, 15, 40, 1);
    if (!p || memcmp(p, "content", 7) || p[39] || xallocx(p, 40, 0, 0) < 40)
        return 4;
    freezero(p, 40);
    free_sized(malloc(10), 10);
    free_aligned_sized(aligned_alloc(64, 128), 64, 128);
    sdallocx(mallocx(5, 0), 5, 0);
    dallocx(malloc(5), 0);
    crossfoot_retire_thread();
    printf("%s %s\n", crossfoot_version(), crossfoot_balanced() ? "balanced" : "unbalanced");
    return 0;
}
