# memcpy, memmove, memset, memcmp, bcmp and strlen for the shared object only, in Intel syntax. build.rs gives them
# their C names there. Up to 64 bytes use SSE2, which every x86-64 CPU has. More bytes use AVX if the CPU and Linux
# support it, and long runs use the string instructions. The libc's functions cannot be used: they are ifuncs, and the
# loader cannot bind to them if it relocates this object before the libc.

# The result of crossfoot_wide: 0 not known yet, 1 no AVX, 2 AVX. Every thread finds the same.
.pushsection .bss.crossfoot_width,"aw",@nobits
crossfoot_width: .zero 1
.popsection

# Sets crossfoot_width, and the flags as `cmp byte ptr [crossfoot_width], 2` does. Keeps every register but r8 to r11.
.pushsection .text.unlikely.crossfoot_wide,"ax",@progbits
.type crossfoot_wide,@function
crossfoot_wide:
    mov r8, rax
    mov r9, rbx
    mov r10, rcx
    mov r11, rdx
    mov eax, 1
    xor ecx, ecx
    cpuid
    and ecx, 0x18000000 # OSXSAVE and AVX
    cmp ecx, 0x18000000
    mov ebx, 1
    jne 10f
    xor ecx, ecx
    xgetbv
    and eax, 6 # Linux saves both halves of the registers
    cmp eax, 6
    jne 10f
    mov ebx, 2
10: mov byte ptr [rip + crossfoot_width], bl
    cmp bl, 2
    mov rax, r8
    mov rbx, r9
    mov rcx, r10
    mov rdx, r11
    ret
.size crossfoot_wide, . - crossfoot_wide
.popsection

# void *memmove(void *to, const void *from, size_t n): rdi, rsi, rdx. Also memcpy.
.pushsection .text.crossfoot_memmove,"ax",@progbits
.globl crossfoot_memmove
.hidden crossfoot_memmove
.type crossfoot_memmove,@function
.p2align 5
crossfoot_memmove:
    mov rax, rdi
    cmp rdx, 16
    jb 10f
    cmp rdx, 32
    ja 20f
    movups xmm0, [rsi]
    movups xmm1, [rsi + rdx - 16]
    movups [rdi], xmm0
    movups [rdi + rdx - 16], xmm1
    ret
10: # Below 16: two halves that may overlap, loaded before either is stored.
    cmp edx, 8
    jb 11f
    mov rcx, [rsi]
    mov r8, [rsi + rdx - 8]
    mov [rdi], rcx
    mov [rdi + rdx - 8], r8
    ret
11: cmp edx, 4
    jb 12f
    mov ecx, [rsi]
    mov r8d, [rsi + rdx - 4]
    mov [rdi], ecx
    mov [rdi + rdx - 4], r8d
    ret
12: test edx, edx
    jz 13f
    movzx ecx, byte ptr [rsi]
    movzx r8d, byte ptr [rsi + rdx - 1]
    mov r9, rdx
    shr r9, 1
    movzx r10d, byte ptr [rsi + r9]
    mov [rdi], cl
    mov [rdi + r9], r10b
    mov [rdi + rdx - 1], r8b
13: ret
20: cmp rdx, 64
    ja 30f
    movups xmm0, [rsi]
    movups xmm1, [rsi + 16]
    movups xmm2, [rsi + rdx - 32]
    movups xmm3, [rsi + rdx - 16]
    movups [rdi], xmm0
    movups [rdi + 16], xmm1
    movups [rdi + rdx - 32], xmm2
    movups [rdi + rdx - 16], xmm3
    ret
30: mov rcx, rdi
    sub rcx, rsi
    cmp rcx, rdx
    jb 70f # the target begins inside the source: from behind
    cmp rdx, 8192
    jae 60f
    cmp byte ptr [rip + crossfoot_width], 2
    jne 55f
40: # The last 64 bytes are loaded before anything is stored.
    vmovdqu ymm2, [rsi + rdx - 64]
    vmovdqu ymm3, [rsi + rdx - 32]
    lea r8, [rdi + rdx - 64]
41: vmovdqu ymm0, [rsi]
    vmovdqu ymm1, [rsi + 32]
    vmovdqu [rdi], ymm0
    vmovdqu [rdi + 32], ymm1
    add rsi, 64
    add rdi, 64
    cmp rdi, r8
    jb 41b
    vmovdqu [r8], ymm2
    vmovdqu [r8 + 32], ymm3
    vzeroupper
    ret
55: cmp byte ptr [rip + crossfoot_width], 0
    jne 50f
    call crossfoot_wide
    je 40b
50: # As above, with SSE2.
    movups xmm4, [rsi + rdx - 64]
    movups xmm5, [rsi + rdx - 48]
    movups xmm6, [rsi + rdx - 32]
    movups xmm7, [rsi + rdx - 16]
    lea r8, [rdi + rdx - 64]
51: movups xmm0, [rsi]
    movups xmm1, [rsi + 16]
    movups xmm2, [rsi + 32]
    movups xmm3, [rsi + 48]
    movups [rdi], xmm0
    movups [rdi + 16], xmm1
    movups [rdi + 32], xmm2
    movups [rdi + 48], xmm3
    add rsi, 64
    add rdi, 64
    cmp rdi, r8
    jb 51b
    movups [r8], xmm4
    movups [r8 + 16], xmm5
    movups [r8 + 32], xmm6
    movups [r8 + 48], xmm7
    ret
60: mov rcx, rdx
    rep movsb
    ret
70: # The first 64 bytes are loaded before anything is stored.
    movups xmm4, [rsi]
    movups xmm5, [rsi + 16]
    movups xmm6, [rsi + 32]
    movups xmm7, [rsi + 48]
    add rsi, rdx
    add rdi, rdx
    lea r8, [rax + 64]
71: movups xmm0, [rsi - 16]
    movups xmm1, [rsi - 32]
    movups xmm2, [rsi - 48]
    movups xmm3, [rsi - 64]
    movups [rdi - 16], xmm0
    movups [rdi - 32], xmm1
    movups [rdi - 48], xmm2
    movups [rdi - 64], xmm3
    sub rsi, 64
    sub rdi, 64
    cmp rdi, r8
    ja 71b
    movups [rax], xmm4
    movups [rax + 16], xmm5
    movups [rax + 32], xmm6
    movups [rax + 48], xmm7
    ret
.size crossfoot_memmove, . - crossfoot_memmove
.popsection

# void *memset(void *to, int byte, size_t n): rdi, esi, rdx.
.pushsection .text.crossfoot_memset,"ax",@progbits
.globl crossfoot_memset
.hidden crossfoot_memset
.type crossfoot_memset,@function
.p2align 5
crossfoot_memset:
    mov rax, rdi
    movzx esi, sil
    movabs rcx, 0x0101010101010101
    imul rcx, rsi
    cmp rdx, 16
    jb 10f
    movq xmm0, rcx
    punpcklqdq xmm0, xmm0
    cmp rdx, 32
    ja 20f
    movups [rdi], xmm0
    movups [rdi + rdx - 16], xmm0
    ret
10: cmp edx, 8
    jb 11f
    mov [rdi], rcx
    mov [rdi + rdx - 8], rcx
    ret
11: cmp edx, 4
    jb 12f
    mov [rdi], ecx
    mov [rdi + rdx - 4], ecx
    ret
12: test edx, edx
    jz 13f
    mov [rdi], cl
    mov [rdi + rdx - 1], cl
    shr rdx, 1
    mov [rdi + rdx], cl
13: ret
20: cmp rdx, 64
    ja 30f
    movups [rdi], xmm0
    movups [rdi + 16], xmm0
    movups [rdi + rdx - 32], xmm0
    movups [rdi + rdx - 16], xmm0
    ret
30: cmp rdx, 2048
    jae 60f
    lea rcx, [rdi + rdx - 64]
    cmp byte ptr [rip + crossfoot_width], 2
    jne 55f
40: vinsertf128 ymm0, ymm0, xmm0, 1
41: vmovdqu [rdi], ymm0
    vmovdqu [rdi + 32], ymm0
    add rdi, 64
    cmp rdi, rcx
    jb 41b
    vmovdqu [rcx], ymm0
    vmovdqu [rcx + 32], ymm0
    vzeroupper
    ret
55: cmp byte ptr [rip + crossfoot_width], 0
    jne 50f
    call crossfoot_wide
    je 40b
50: movups [rdi], xmm0
    movups [rdi + 16], xmm0
    movups [rdi + 32], xmm0
    movups [rdi + 48], xmm0
    add rdi, 64
    cmp rdi, rcx
    jb 50b
    movups [rcx], xmm0
    movups [rcx + 16], xmm0
    movups [rcx + 32], xmm0
    movups [rcx + 48], xmm0
    ret
60: mov r8, rax
    mov rcx, rdx
    mov eax, esi
    rep stosb
    mov rax, r8
    ret
.size crossfoot_memset, . - crossfoot_memset
.popsection

# int memcmp(const void *a, const void *b, size_t n): rdi, rsi, rdx. Also bcmp.
.pushsection .text.crossfoot_memcmp,"ax",@progbits
.globl crossfoot_memcmp
.hidden crossfoot_memcmp
.type crossfoot_memcmp,@function
.p2align 5
crossfoot_memcmp:
10: cmp rdx, 8
    jb 20f
    mov rax, [rdi]
    mov rcx, [rsi]
    cmp rax, rcx
    jne 30f
    add rdi, 8
    add rsi, 8
    sub rdx, 8
    jmp 10b
20: test rdx, rdx
    jz 40f
    movzx eax, byte ptr [rdi]
    movzx ecx, byte ptr [rsi]
    sub eax, ecx
    jne 50f
    inc rdi
    inc rsi
    dec rdx
    jmp 20b
30: # The first byte that differs decides: as big-endian numbers they compare like the bytes.
    bswap rax
    bswap rcx
    cmp rax, rcx
    sbb eax, eax
    or eax, 1
    ret
40: xor eax, eax
50: ret
.size crossfoot_memcmp, . - crossfoot_memcmp
.popsection

# size_t strlen(const char *text): rdi.
.pushsection .text.crossfoot_strlen,"ax",@progbits
.globl crossfoot_strlen
.hidden crossfoot_strlen
.type crossfoot_strlen,@function
.p2align 5
crossfoot_strlen:
    xor eax, eax
10: cmp byte ptr [rdi + rax], 0
    je 20f
    inc rax
    jmp 10b
20: ret
.size crossfoot_strlen, . - crossfoot_strlen
.popsection
