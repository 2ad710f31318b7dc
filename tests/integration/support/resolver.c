// Replaces the DNS resolver of a process by a resolver that a test can make hang. The file RATEGUARD_SHIM has three
// 64-bit numbers. The first number says whether lookups hang. The second number is not used. The third number is the
// number of lookups that are waiting.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static int64_t *control_block(void) {
  const char *path = getenv("RATEGUARD_SHIM");
  int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
  void *memory = file < 0 ? MAP_FAILED : mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (file >= 0) {
    close(file);
  }
  return memory == MAP_FAILED ? NULL : memory;
}

int getaddrinfo(const char *restrict node, const char *restrict service, const struct addrinfo *restrict hints,
                struct addrinfo **restrict found) {
  int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) =
      (int (*)(const char *, const char *, const struct addrinfo *, struct addrinfo **))dlsym(RTLD_NEXT, "getaddrinfo");
  int64_t *control = control_block();
  if (control) {
    __atomic_add_fetch(&control[2], 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&control[0], __ATOMIC_SEQ_CST)) {
      usleep(5000);
    }
    __atomic_sub_fetch(&control[2], 1, __ATOMIC_SEQ_CST);
    munmap(control, 4096);
  }
  return real(node, service, hints, found);
}
