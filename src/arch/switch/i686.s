# A call on another stack, for i686: (function, argument, top) -> what function(argument) returns. As in x86_64.s.
    .cfi_startproc
    pushl %ebp
    .cfi_def_cfa_offset 8
    .cfi_offset %ebp, -8
    movl %esp, %ebp
    .cfi_def_cfa_register %ebp
    movl 8(%ebp), %eax
    movl 12(%ebp), %ecx
    movl 16(%ebp), %esp
    # With the argument the stack is a multiple of 16 at the call.
    subl $12, %esp
    pushl %ecx
    calll *%eax
    movl %ebp, %esp
    popl %ebp
    .cfi_def_cfa %esp, 4
    retl
    .cfi_endproc
