@ A call on another stack, for armv7: (function, argument, top) -> what function(argument) returns. As in x86_64.s.
@
@ Programs unwind by the tables of the ARM EHABI, debuggers by those of DWARF: both are here. ARM or Thumb-2, as the
@ file that includes this says.
    .fnstart
    .cfi_sections .debug_frame
    .cfi_startproc
    push {r11, lr}
    .save {r11, lr}
    .cfi_def_cfa_offset 8
    .cfi_offset r11, -8
    .cfi_offset lr, -4
    mov r11, sp
    .setfp r11, sp
    .cfi_def_cfa_register r11
    mov r12, r0
    mov r0, r1
    mov sp, r2
    blx r12
    mov sp, r11
    .cfi_def_cfa_register sp
    pop {r11, pc}
    .cfi_endproc
    .fnend
