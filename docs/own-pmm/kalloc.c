/* A kernel's allocator as it stands in many small kernels: free frames are a list whose links lie in the frames themselves. It knows nothing of framewalk. */
#include <stddef.h>

struct run {
  struct run *next;
};

static struct run *freelist;

void kfree(void *page) {
  struct run *r = page;
  r->next = freelist;
  freelist = r;
}

void *kalloc(void) {
  struct run *r = freelist;
  if (r) freelist = r->next;
  return r;
}
