"""The loop: receive, work, and say how it ended. A message is done only when its work is."""

import logging
import threading
import time
from collections.abc import Callable

from app.messages import InvalidMessageError, Message, Queue, QueueUnavailableError

log = logging.getLogger(__name__)

WAIT_SECONDS = 20.0
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 30.0
STUCK_AFTER_SECONDS = 900.0  # longer than the longest work: the lock of a message is renewed for ten minutes


class Consumer:
    """Takes messages until it is told to stop."""

    def __init__(self, queue: Queue, handle: Callable[[Message], None], clock: Callable[[], float] = time.monotonic):
        self._queue, self._handle, self._clock = queue, handle, clock
        self._stop = threading.Event()
        self._turned = clock()
        self.problem = "not connected yet"

    @property
    def turning(self) -> bool:
        """Whether the loop is alive, whatever the queue does."""
        return self._clock() - self._turned < STUCK_AFTER_SECONDS

    def stop(self) -> None:
        """End after the message that is being worked on."""
        self._stop.set()

    def run(self) -> None:
        """Turn until stopped; a queue that is away is asked again, less and less often."""
        pause = FIRST_PAUSE_SECONDS
        while not self._stop.is_set():
            try:
                self.turn()
                pause = FIRST_PAUSE_SECONDS
            except QueueUnavailableError as error:
                self.problem = str(error)
                log.warning("the queue is away, next try in %.0f s: %s", pause, error)
                self._stop.wait(pause)
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
        self._queue.close()

    def turn(self) -> int:
        """One round; returns how many messages came."""
        self._turned = self._clock()
        messages = self._queue.receive(WAIT_SECONDS)
        self.problem = ""
        for message in messages:
            self._work(message)
        return len(messages)

    def _work(self, message: Message) -> None:
        try:
            self._handle(message)
        except InvalidMessageError as error:
            log.exception("message %s can never be processed", message.id)
            self._queue.dead_letter(message, "InvalidMessage", str(error))
        except Exception:
            # Whatever it was: the message comes again, and goes to the dead letters after the queue's limit.
            log.exception("message %s, delivery %d failed", message.id, message.delivery)
            self._queue.abandon(message)
        else:
            self._queue.complete(message)
