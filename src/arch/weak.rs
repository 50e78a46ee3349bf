//! Addresses of symbols of a libc, of C++ and of the linker, where the program has them.
//!
//! Each is the symbol's entry in the global offset table: the linker or the loader fills it with the address, or with
//! zero if nothing defines the symbol.

use core::ffi::c_void;

use super::cpu::weak_address;

/// The binding of a reference to a function that the archive of musl's libc must be searched for. A linker takes nothing
/// from an archive for a weak reference, and a static program that is linked with musl has the functions only if
/// something refers to them otherwise.
#[cfg(target_env = "musl")]
macro_rules! searched {
    () => {
        ".globl "
    };
}
#[cfg(not(target_env = "musl"))]
macro_rules! searched {
    () => {
        ".weak "
    };
}

macro_rules! weak {
    ($(#[$doc:meta])* $name:ident, $symbol:literal) => {
        weak!($(#[$doc])* $name, $symbol, ".weak ");
    };
    ($(#[$doc:meta])* $name:ident, $symbol:literal, $binding:expr) => {
        $(#[$doc])*
        #[inline]
        pub fn $name() -> *const c_void {
            weak_address!($symbol, $binding)
        }
    };
}

weak!(
    /// Returns the address of the libc's `pthread_key_create`, or null without one.
    pthread_key_create, "pthread_key_create", searched!());
weak!(
    /// Returns the address of the libc's `pthread_setspecific`, or null without one.
    pthread_setspecific, "pthread_setspecific", searched!());
weak!(
    /// Returns the address of glibc's `__register_atfork`, or null without it.
    register_atfork, "__register_atfork");
weak!(
    /// Returns the address of glibc's `gnu_get_libc_version`, or null in a program without glibc.
    gnu_get_libc_version, "gnu_get_libc_version");
weak!(
    /// Returns the address of the libc's `pthread_atfork`, or null. Static programs have it only if
    /// they use it themselves.
    pthread_atfork, "pthread_atfork", searched!());
weak!(
    /// Returns the address of musl's `__fork_handler`, which only programs that are linked statically see, or null.
    fork_handler, "__fork_handler");
weak!(
    /// Returns the address of the libc's `__errno_location`, or null without one.
    errno_location, "__errno_location");
weak!(
    /// Returns the address of glibc's `__cxa_at_quick_exit`, or null without it.
    cxa_at_quick_exit, "__cxa_at_quick_exit");
weak!(
    /// Returns the address of the libc's variable `environ`, or null without one.
    environ, "environ");
weak!(
    /// Returns the address of the libc's `getauxval`, or null without one.
    getauxval, "getauxval");
weak!(
    /// Returns the address of the libc's `fflush`, or null without one.
    fflush, "fflush");
weak!(
    /// Returns the address of glibc's `__libc_single_threaded`, or null without it.
    libc_single_threaded, "__libc_single_threaded");
weak!(
    /// Returns the address of glibc's `_IO_list_lock`, or null without it.
    io_list_lock, "_IO_list_lock");
weak!(
    /// Returns the address of glibc's `_IO_list_unlock`, or null without it.
    io_list_unlock, "_IO_list_unlock");
weak!(
    /// Returns the address of glibc's `_IO_list_resetlock`, or null without it.
    io_list_resetlock, "_IO_list_resetlock");
weak!(
    /// Returns the address of the libc's `fwrite`, or null without one.
    fwrite, "fwrite");
weak!(
    /// Returns the address of the libc's `dlsym`, or null. A static program has it only if it uses it
    /// itself.
    dlsym, "dlsym");
weak!(
    /// Returns the address of the dynamic section of this object, or null in a static program.
    dynamic_section, "_DYNAMIC");
weak!(
    /// Returns the address of C++'s `std::get_new_handler`, or null without it.
    get_new_handler, "_ZSt15get_new_handlerv");
weak!(
    /// Returns the address of the function of libstdc++ and libc++ that throws `std::bad_alloc`, or null without one.
    throw_bad_alloc, "_ZSt17__throw_bad_allocv");
weak!(
    /// Returns the address of C++'s `__cxa_allocate_exception`, or null without it.
    cxa_allocate_exception, "__cxa_allocate_exception");
weak!(
    /// Returns the address of C++'s `__cxa_throw`, or null without it.
    cxa_throw, "__cxa_throw");
weak!(
    /// Returns the address of the type information of `std::bad_alloc`, or null without it.
    bad_alloc_type, "_ZTISt9bad_alloc");
weak!(
    /// Returns the address of the virtual functions of `std::bad_alloc`, or null without them.
    bad_alloc_functions, "_ZTVSt9bad_alloc");
weak!(
    /// Returns the address of C++'s `__gxx_personality_v0`, or null without it.
    gxx_personality, "__gxx_personality_v0");
weak!(
    /// Returns the address of C++'s `__cxa_begin_catch`, or null without it.
    cxa_begin_catch, "__cxa_begin_catch");
weak!(
    /// Returns the address of C++'s `__cxa_end_catch`, or null without it.
    cxa_end_catch, "__cxa_end_catch");
