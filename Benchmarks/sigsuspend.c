// Loaded in front of the host by instructions.py. Debian 12's valgrind (3.19) writes to the mask that sigsuspend is given, and
// ends where that is read-only, as it is in libdispatch, which parks the main thread so. This hands it a copy.
#define _GNU_SOURCE
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

int sigsuspend(const sigset_t *mask) {
    sigset_t copy = *mask;
    return syscall(SYS_rt_sigsuspend, &copy, _NSIG / 8);
}
