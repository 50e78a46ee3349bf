/* What glibc's build says to every file of its tests, as far as their malloc ones need it. xtask/src/programs/glibc.rs
   includes it before each. */
#include <errno.h>
#include <features.h>
#include <limits.h>
#define __glibc_likely(condition) __builtin_expect((condition), 1)
#define __glibc_unlikely(condition) __builtin_expect((condition), 0)
#define __set_errno(value) (errno = (value))
#define attribute_hidden
#define libc_hidden_def(...)
#define libc_hidden_nolink_proto(...)
#define libc_hidden_proto(...)
#define libc_hidden_weak(...)
#define rtld_hidden_proto(...)
#define strong_alias(...)
#define weak_alias(...)
#define OBJPFX ""
#define SYSCONFDIR_PATH "/etc"
#define TIMEOUTFACTOR 3
/* Folders of a build: no malloc test looks there. */
#define BINDIR_PATH ""
#define COMPLOCALEDIR_PATH ""
#define INSTDIR_PATH ""
#define LIBDIR_PATH ""
#define OBJDIR_ELF_LDSO_PATH ""
#define OBJDIR_PATH ""
#define ROOTDIR_PATH ""
#define ROOTSBINDIR_PATH ""
#define SBINDIR_PATH ""
#define SLIBDIR_PATH ""
#define SRCDIR_PATH ""
#define SYSLIBDIR_PATH ""
