/** The smallest strategy: the first free block by address. framewalk check-pmm first-fit.mjs */
export default {
  title: 'First fit over an array of bytes',
  create({ map }) {
    const free = new Uint8Array(map.frames);
    for (const { first, count } of map.usable) free.fill(1, first, first + count);
    let steps = 0;
    return {
      maxOrder: 10,
      allocate(order) {
        const size = 2 ** order;
        for (let first = 0; first + size <= free.length; first += size) {
          let n = 0;
          while (n < size && free[first + n] === 1) n++;
          steps += n + 1;
          if (n < size) continue;
          free.fill(0, first, first + size);
          return first;
        }
        return -1;
      },
      free(frame, order) {
        free.fill(1, frame, frame + 2 ** order);
        return 0;
      },
      steps: () => steps,
    };
  },
};
