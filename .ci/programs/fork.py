# os.fork with copy-on-write in parent, child and grandchild.
import os
import time

data = [list(range(200)) for _ in range(2000)]
block = bytearray(4 << 20)
for generation in range(6):
    child = os.fork()
    if child == 0:
        for i in range(0, len(block), 8192):
            block[i] = generation
        if os.fork() == 0:
            total = sum(sum(row) for row in data)
            block[:65536] = bytes(65536)
            os._exit(total & 1)
        os.wait()
        time.sleep(0.01)
        os._exit(0)
    for i in range(0, len(block), 16384):
        block[i] = 255
    os.waitpid(child, 0)
