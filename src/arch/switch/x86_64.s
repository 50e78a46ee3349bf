# A call on another stack, for x86-64: (function, argument, top) -> what function(argument) returns.
#
# The top is a multiple of 16. The frame pointer keeps the caller's stack, and says to whoever unwinds where it is: the
# frames below are found from there, whichever of the two stacks lies higher.
#
# The body of a function, from its first instruction on; whoever includes it gives the name. `arch` does, and a test in C.
    .cfi_startproc
    pushq %rbp
    .cfi_def_cfa_offset 16
    .cfi_offset %rbp, -16
    movq %rsp, %rbp
    .cfi_def_cfa_register %rbp
    movq %rdx, %rsp
    movq %rdi, %rax
    movq %rsi, %rdi
    callq *%rax
    movq %rbp, %rsp
    popq %rbp
    .cfi_def_cfa %rsp, 8
    retq
    .cfi_endproc
