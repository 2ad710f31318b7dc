// Replaces `getppid` by `fork`. Safe Rust has no function that forks a process, but it has one that calls `getppid`.

#include <unistd.h>

pid_t getppid(void) {
  return fork();
}
