/** Where a long command is. */
export interface Progress {
  /** A new step begins. */
  step(title: string): void;
  /** Something changed within the step; shown on terminals only. */
  detail(text: string): void;
  /** Removes what is left of the display. */
  end(): void;
}

const CLEAR_LINE = '\r\u001B[2K';
/** Redrawing a line more often than this only costs time. */
const REDRAW_MS = 50;

/** One line that is drawn over on a terminal, one line per step anywhere else. */
export function createProgress(stream: NodeJS.WriteStream): Progress {
  return stream.isTTY ? terminalProgress(stream) : lineProgress(stream);
}

function lineProgress(stream: NodeJS.WritableStream): Progress {
  return {
    step: (title) => void stream.write(`${title}\n`),
    detail: () => {},
    end: () => {},
  };
}

function terminalProgress(stream: NodeJS.WriteStream): Progress {
  let title = '';
  let drawn = 0;
  const draw = (text: string) => {
    drawn = performance.now();
    // A line that wraps could not be cleared.
    stream.write(CLEAR_LINE + text.slice(0, Math.max(stream.columns - 1, 0)));
  };
  return {
    step: (next) => {
      title = next;
      draw(title);
    },
    detail: (text) => {
      if (performance.now() - drawn >= REDRAW_MS) draw(`${title}: ${text}`);
    },
    end: () => void stream.write(CLEAR_LINE),
  };
}
