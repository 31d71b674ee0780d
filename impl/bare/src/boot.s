// From 32-bit PVH entry (and, for the other CPUs, from 16-bit real mode) to Rust in the upper half; interrupt entries.

.section .note.Xen,"a",@note
.long 4, 8, 18                 // XEN_ELFNOTE_PHYS32_ENTRY
.asciz "Xen"
.quad start32

// ---- while paging is off: everything here is linked at its physical address ---------------------------------------
.section .boot.bss,"aw",@nobits
.balign 4096
boot_pml4: .skip 4096
boot_pdpt: .skip 4096          // of the identity and the direct map: 4 GiB
boot_kernel_pdpt: .skip 4096   // of the last 2 GiB: the same first GiB
boot_pd: .skip 4096*4

.section .boot,"awx",@progbits
.balign 16
boot_gdt: .quad 0, 0x00af9a000000ffff, 0x00cf92000000ffff, 0x00cf9a000000ffff
boot_gdtr: .word 4*8-1
      .long boot_gdt, 0

.code32
.global start32
start32:                       // ebx: struct hvm_start_info
  cli
  mov eax, offset boot_pdpt
  or eax, 3
  mov dword ptr [boot_pml4], eax
  mov dword ptr [boot_pml4 + 272*8], eax
  mov eax, offset boot_kernel_pdpt
  or eax, 3
  mov dword ptr [boot_pml4 + 511*8], eax
  mov eax, offset boot_pd
  or eax, 3
  mov dword ptr [boot_kernel_pdpt + 510*8], eax
  mov edi, offset boot_pdpt
  mov ecx, 4
1: mov [edi], eax
  add eax, 4096
  add edi, 8
  loop 1b
  mov edi, offset boot_pd
  mov eax, 0x83                // present, writable, 2 MiB
  mov ecx, 2048
2: mov [edi], eax
  add eax, 0x200000
  add edi, 8
  loop 2b
  mov esi, offset start64
  jmp enter_long

// esi: where to go on, in 64-bit mode
enter_long:
  mov eax, offset boot_pml4
  mov cr3, eax
  mov eax, cr4
  or eax, 0x620                // PAE, OSFXSR, OSXMMEXCPT
  mov cr4, eax
  mov ecx, 0xc0000080
  rdmsr
  or eax, 0x100                // EFER.LME
  wrmsr
  mov eax, cr0
  and eax, ~4                  // no EM
  or eax, 0x80010003           // PG, WP, MP, PE
  mov cr0, eax
  lgdt [boot_gdtr]
  .byte 0xea                   // ljmp 8:in_long
  .long in_long
  .word 8
.code64
in_long:
  mov ax, 0x10
  mov ds, ax
  mov es, ax
  mov ss, ax
  mov rax, rsi
  jmp rax
start64:
  movabs rax, offset start_high
  jmp rax
ap64:
  movabs rax, offset ap_high
  jmp rax

// ---- the other CPUs: copied below 1 MiB, started there in real mode -------------------------------------------------
.global ap_begin, ap_end
.code16
.balign 16
ap_begin:
  jmp 1f
  .balign 8
  .word 4*8-1                  // at 8: the descriptor of boot_gdt
  .long boot_gdt
1:
  cli
  mov ax, cs
  mov ds, ax
  .byte 0x66
  lgdt [8]
  mov eax, cr0
  or eax, 1
  mov cr0, eax
  .byte 0x66, 0xea             // ljmp 0x18:ap32
  .long ap32
  .word 0x18
ap_end:
.code32
ap32:
  mov ax, 0x10
  mov ds, ax
  mov es, ax
  mov ss, ax
  mov esi, offset ap64
  jmp enter_long

// ---- in the upper half ----------------------------------------------------------------------------------------------
.section .bss
.balign 16
.skip 65536
bsp_stack:

.section .text
.code64
start_high:
  lea rsp, [rip + bsp_stack]
  xor ebp, ebp
  mov edi, ebx
  call start_of_kernel
5: hlt
  jmp 5b
ap_high:
  mov rsp, [rip + AP_STACK]
  xor ebp, ebp
  call start_of_ap
6: hlt
  jmp 6b

// A load or store from user mode's side, which may fault: on_exception goes on at user_faulted.
.global user_load, user_load_here, user_store, user_store_here, user_faulted
user_load:                     // rdi: address; rax: what is there, or -1
user_load_here:
  mov eax, dword ptr [rdi]
  ret
user_store:                    // rdi: address; esi: value; rax: 0, or -1
user_store_here:
  mov dword ptr [rdi], esi
  xor eax, eax
  ret
user_faulted:
  mov rax, -1
  ret

// Every entry is on a stack of the interrupt stack table, so the red zone of the prebuilt core code is safe.
// rdi: the frame: rip, cs, rflags, rsp, ss; rsi: the vector; rdx: cr2
.macro enter function
  push rax; push rcx; push rdx; push rsi; push rdi; push r8; push r9; push r10; push r11; push rbp
  mov rbp, rsp
  mov rsi, [rsp + 80]
  lea rdi, [rsp + 96]
  mov rdx, cr2
  sub rsp, 512
  and rsp, -16
  fxsave64 [rsp]
  cld
  call \function
  fxrstor64 [rsp]
  mov rsp, rbp
  pop rbp; pop r11; pop r10; pop r9; pop r8; pop rdi; pop rsi; pop rdx; pop rcx; pop rax
  add rsp, 16
  iretq
.endm

.global interrupt_stubs, exception_stubs, nmi_stub
.balign 16
interrupt_stubs:               // vectors 0xe0 to 0xff
.set vector, 0xe0
.rept 32
  .balign 16
  push 0                       // in the place of an error code
  push vector
  jmp interrupt_common
  .set vector, vector+1
.endr
interrupt_common:
  enter on_interrupt
nmi_stub:
  push 0
  push 2
  enter on_nmi
.balign 16
exception_stubs:               // vectors 0 to 31
.set vector, 0
.rept 32
  .balign 16
  .if vector != 8 && vector != 10 && vector != 11 && vector != 12 && vector != 13 && vector != 14 && vector != 17 && vector != 21
  push 0
  .endif
  push vector
  jmp exception_common
  .set vector, vector+1
.endr
exception_common:
  enter on_exception
