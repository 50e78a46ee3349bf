/* The body of the switch, BODY, under a name. */
    .text
#ifdef __arm__
    .syntax unified
    .arch armv7-a
#endif
#ifdef __thumb__
    .thumb
    .thumb_func
#endif
    .globl on_stack
    .type on_stack, %function
    .balign 4
on_stack:
    .include BODY
    .size on_stack, . - on_stack
    .section .note.GNU-stack, "", %progbits
