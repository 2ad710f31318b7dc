// Replaces the wall clock of a process by a clock that a test sets. The file RATEGUARD_SHIM has three 64-bit numbers.
// The first number is the offset of the clock in microseconds. The second number is the time in microseconds at which
// the clock is frozen, or 0. The third number is for a frozen clock: after this many readings of the clock, the
// library adds the offset to the frozen time.

#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *control_block(void) {
  static volatile int64_t *mapped;
  if (!mapped) {
    const char *path = getenv("RATEGUARD_SHIM");
    int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *memory = file < 0 ? MAP_FAILED : mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (file >= 0) {
      close(file);
    }
    if (memory != MAP_FAILED) {
      mapped = memory;
    }
  }
  return mapped;
}

static int64_t nanoseconds(void) {
  struct timespec real;
  syscall(SYS_clock_gettime, CLOCK_REALTIME, &real);
  int64_t now = real.tv_sec * INT64_C(1000000000) + real.tv_nsec;
  volatile int64_t *control = control_block();
  if (!control) {
    return now;
  }
  if (control[1] && control[2] > 0) {
    control[2]--;
    return control[1] * 1000;
  }
  return (control[1] ? control[1] * 1000 : now) + control[0] * 1000;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
  if (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE) {
    return syscall(SYS_clock_gettime, clock, time);
  }
  int64_t now = nanoseconds();
  time->tv_sec = now / 1000000000;
  time->tv_nsec = now % 1000000000;
  return 0;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
  (void)zone;
  int64_t now = nanoseconds();
  time->tv_sec = now / 1000000000;
  time->tv_usec = now % 1000000000 / 1000;
  return 0;
}

time_t time(time_t *time) {
  time_t now = nanoseconds() / 1000000000;
  if (time) {
    *time = now;
  }
  return now;
}
