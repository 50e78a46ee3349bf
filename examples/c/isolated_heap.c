/*
 * Answers each request in a heap of its own: destroying the heap frees all that was allocated for the request.
 *
 *     cargo build --release
 *     cc -Ipreload/include examples/c/isolated_heap.c target/release/libcrossfoot.a -o isolated_heap
 */
#include <crossfoot-heap.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct word {
    struct word *next;
    unsigned count;
    char text[];
};

/* Adds one to a word's count. Returns NULL without memory. */
static struct word *count(crossfoot_heap_t *heap, struct word **list, const char *text, size_t length) {
    for (struct word *word = *list; word != NULL; word = word->next) {
        if (strlen(word->text) == length && memcmp(word->text, text, length) == 0) {
            word->count++;
            return word;
        }
    }
    struct word *word = crossfoot_heap_malloc(heap, sizeof *word + length + 1);
    if (word == NULL)
        return NULL;
    memcpy(word->text, text, length);
    word->text[length] = '\0';
    word->count = 1;
    word->next = *list;
    *list = word;
    return word;
}

/* Answers a request: prints its most frequent word. Destroying the heap frees the words. */
static int answer(const char *request) {
    crossfoot_heap_t *heap = crossfoot_heap_new();
    if (heap == NULL) {
        perror("crossfoot_heap_new");
        return 1;
    }
    struct word *words = NULL, *most = NULL;
    for (const char *at = request; *at != '\0';) {
        size_t length = strcspn(at, " ");
        struct word *word = count(heap, &words, at, length);
        if (word == NULL) {
            perror("crossfoot_heap_malloc");
            crossfoot_heap_destroy(heap);
            return 1;
        }
        if (most == NULL || word->count > most->count)
            most = word;
        at += length;
        at += strspn(at, " ");
    }
    printf("'%s' is there %u times\n", most != NULL ? most->text : "", most != NULL ? most->count : 0);
    crossfoot_heap_destroy(heap);
    return 0;
}

int main(void) {
    if (answer("the more you count the more you know the more you see") != 0)
        return 1;
    if (answer("rows and columns and totals and") != 0)
        return 1;

    /* The other calls. An object must be freed in its own heap. Each heap has its own limit. */
    crossfoot_heap_t *small = crossfoot_heap_new_limited(4 << 20);
    if (small == NULL)
        return 1;
    unsigned char *table = crossfoot_heap_calloc(small, 1000, 24);
    table = crossfoot_heap_realloc(small, table, 48000);
    void *aligned = crossfoot_heap_aligned_alloc(small, 4096, 100);
    if (table == NULL || aligned == NULL)
        return 1;
    printf("the first byte of the table is %d, it has room for %s bytes\n", table[0],
           crossfoot_heap_usable_size(small, table) >= 48000 ? "48000" : "fewer");
    printf("the aligned object's address ends in %03x\n", (unsigned)((uintptr_t)aligned & 0xfff));
    printf("8 MiB in a heap of 4 MiB: %s\n", crossfoot_heap_malloc(small, 8 << 20) == NULL ? "refused" : "granted");
    crossfoot_heap_free(small, table);
    crossfoot_heap_destroy(small);
    return 0;
}
