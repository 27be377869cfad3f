"""The bridge from Python's logging."""

from __future__ import annotations

import logging

from plugins.logs.writer import Writer

_KERNEL = "kernel"


class LogsHandler(logging.Handler):
    """Hands records to a writer: the kernel's from `level` on, those of other libraries from warnings on.

    Python's loggers belong to the process, and several kernels may run in it. Each attaches a handler of its
    own; the one attached first writes, the others are silent until it goes.
    """

    def __init__(self, writer: Writer, level: int) -> None:
        super().__init__()
        self._writer = writer
        self._least = level
        self._before = logging.NOTSET

    def attach(self) -> None:
        """Begin to receive records."""
        logger, others = logging.getLogger(_KERNEL), _attached()
        self._before = others[0]._before if others else logger.level
        logging.getLogger().addHandler(self)
        _set_level()

    def detach(self) -> None:
        """Receive no more, and leave the loggers as they were found."""
        logging.getLogger().removeHandler(self)
        if _attached():
            _set_level()
        else:
            logging.getLogger(_KERNEL).setLevel(self._before)

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a record."""
        ours = record.name == _KERNEL or record.name.startswith("kernel.")
        if record.levelno < (self._least if ours else logging.WARNING) or _attached()[0] is not self:
            return
        self._writer.put(record)


def _attached() -> list[LogsHandler]:
    return [handler for handler in logging.getLogger().handlers if isinstance(handler, LogsHandler)]


def _set_level() -> None:
    logging.getLogger(_KERNEL).setLevel(min(handler._least for handler in _attached()))
