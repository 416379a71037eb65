// Runs `action` once typing has paused; an answer that a newer question overtook is dropped.
export function debounced(action, milliseconds) {
  let timer = 0;
  let running = null;
  return (wait = milliseconds) => {
    clearTimeout(timer);
    timer = setTimeout(async () => {
      running?.abort();
      running = new AbortController();
      try {
        await action(running.signal);
      } catch (error) {
        if (error.name !== "AbortError") console.info(`preview: ${error.message}`);
      }
    }, wait);
  };
}
