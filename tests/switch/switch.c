/* The switch of stacks of one CPU: prints a line for each thing that is right. The frames of this file have tables to
 * unwind by, and no frame pointers, so that every register is used. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unwind.h>

typedef uintptr_t (*function)(void *);

uintptr_t on_stack(function f, void *argument, void *top);

enum { SIZE = 256 << 10, MOST = 32 };

/* How a function finds the stack pointer when it is called. */
#if defined(__arm__)
enum { ALIGN = 8 };
#else
enum { ALIGN = 16 };
#endif

static char stacks[2][SIZE] __attribute__((aligned(16)));

static void check(int right, const char *what) {
    printf("%s %s\n", right ? "right" : "WRONG", what);
}

static int is_on(const char *stack) {
    volatile char here = 0;
    uintptr_t at = (uintptr_t)&here;
    return at >= (uintptr_t)stack && at < (uintptr_t)stack + SIZE;
}

struct trace {
    int count;
    uintptr_t at[MOST];
};

static _Unwind_Reason_Code frame(struct _Unwind_Context *context, void *argument) {
    struct trace *trace = argument;
    if (trace->count < MOST)
        trace->at[trace->count++] = (uintptr_t)_Unwind_GetIP(context) & ~(uintptr_t)1;
    return _URC_NO_REASON;
}

/* Whether the frames from here on lead to the call that returns to `where`. */
static __attribute__((noinline)) int leads_to(const void *where) {
    struct trace trace = {0};
    _Unwind_Backtrace(frame, &trace);
    for (int i = 0; i < trace.count; i++)
        if (trace.at[i] == ((uintptr_t)where & ~(uintptr_t)1))
            return 1;
    return 0;
}

struct call {
    const void *back;
    int on, aligned, unwound, nested, nested_unwound, back_on;
};

static __attribute__((noinline)) uintptr_t inner(void *argument) {
    struct call *call = argument;
    call->nested = is_on(stacks[1]);
    call->nested_unwound = leads_to(call->back);
    return 5;
}

static __attribute__((noinline)) uintptr_t outer(void *argument) {
    struct call *call = argument;
    call->on = is_on(stacks[0]);
    call->aligned = (uintptr_t)__builtin_dwarf_cfa() % ALIGN == 0;
    call->unwound = leads_to(call->back);
    uintptr_t five = on_stack(inner, argument, stacks[1] + SIZE);
    call->back_on = is_on(stacks[0]);
    /* All bits of a word. */
    return ~(uintptr_t)0 / 15 * five;
}

/* So many values that each register that a call must keep holds one. */
static __attribute__((noinline)) int keeps_registers(volatile uintptr_t *in, struct call *call) {
#define ALL(F) F(0) F(1) F(2) F(3) F(4) F(5) F(6) F(7) F(8) F(9) F(10) F(11) F(12) F(13)
#define LOAD(I) uintptr_t v##I = in[I];
#define COMPARE(I) right &= v##I == (uintptr_t)(I) * 0x01010101u + 1;
    ALL(LOAD)
    uintptr_t got = on_stack(outer, call, stacks[0] + SIZE);
    int right = got == ~(uintptr_t)0 / 3;
    ALL(COMPARE)
    return right;
}

static __attribute__((noinline)) void from_main(void) {
    static volatile uintptr_t in[14];
    struct call call;
    memset(&call, 0, sizeof call);
    call.back = __builtin_return_address(0);
    for (int i = 0; i < 14; i++)
        in[i] = (uintptr_t)i * 0x01010101u + 1;
    int kept = keeps_registers(in, &call);
    check(call.on, "on the stack");
    check(call.aligned, "aligned at the call");
    check(call.unwound, "unwound to main");
    check(call.nested, "nested on another stack");
    check(call.nested_unwound, "unwound through both");
    check(call.back_on, "back on the first");
    check(kept, "result and registers");
    check(!is_on(stacks[0]) && !is_on(stacks[1]), "back on main's");
    check(leads_to(call.back), "still unwinds");
}

int main(void) {
    from_main();
    return 0;
}
