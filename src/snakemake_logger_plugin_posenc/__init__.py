"""Snakemake logger `posenc`: in place of job listings, how far a run is, what runs, how long it still takes.

Only runs look different. All else (dry runs, `--verbose`, `--quiet`, `--lint`, `--summary` …), and every
warning and error of a run, is printed as Snakemake's own handler prints it. Its log file stays complete.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import threading
import time

from snakemake.logging import ColorizingTextHandler, DefaultFilter, DefaultFormatter
from snakemake.settings.enums import Quietness
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from . import lines
from .estimate import Progress

REDRAW_S = 0.5  # on a terminal the status line is redrawn so often
REPORT_S = 10.0  # without one a progress line is printed at most so often
LOG_TAIL = 20
CLEAR = "\r\033[K"  # what a terminal takes as: go to the start of the line and empty it
SHARED_FILES = "Assuming unrestricted shared filesystem usage."  # comes before a run says that it starts
NOISE = re.compile(
    "Building DAG|Using shell|Select jobs to|Group jobs: inactive|(Conda env|Singularity cont).*: ignored"
    "|Storing|Retrieving|Finished (retrieval|upload)|Removing (local copy|temporary output)"
    "|Job .* has been submitted with SLURM|Cleaning up SLURM log files"
    "|Touching|Write-protecting|Processed .* potential jobs|Updating checkpoint|DAG of jobs will be"
    "|Shutting down, this|Elapsed time: "
)
SLURM = "SLURM run ID: "  # jobs are sent to a cluster, where nobody here knows which of them run and which wait
OUTPUT_MISSING = re.compile(r"Job (\d+)\s+completed successfully, but")  # has no event


class LogHandler(LogHandlerBase):
    """Progress for real runs; for everything else Snakemake's own handler."""

    writes_to_stream = True
    writes_to_file = False
    has_filter = True
    has_formatter = True
    needs_rulegraph = False

    def __post_init__(self) -> None:
        settings = self.common_settings
        quiet = set(settings.quiet or ())
        unwatched = quiet & {Quietness.ALL, Quietness.RULES, Quietness.PROGRESS}
        self.as_default = bool(settings.dryrun or settings.verbose or settings.debug_dag or unwatched)
        # Snakemake's header tells that a run starts: it must arrive here even where nobody wants to see it.
        hidden = quiet if self.as_default else quiet - {Quietness.HOST}
        show = (settings.debug_dag, settings.verbose, settings.dryrun, settings.printshellcmds)
        self.addFilter(DefaultFilter(hidden, *show).filter)
        self.stream = sys.stdout if settings.stdout else sys.stderr
        nocolor = settings.nocolor or bool(os.environ.get("NO_COLOR"))
        self.default = ColorizingTextHandler(nocolor, self.stream)
        self.default.setFormatter(DefaultFormatter(quiet, settings.show_failed_logs))
        self.redraws = self.default.is_tty and os.environ.get("TERM") != "dumb"
        # Snakemake's log file on a full disk would print a traceback for each of its lines.
        logging.raiseExceptions = False
        self.began = time.time()
        self.executing = self.interrupted = self.full = self.sent_away = False
        self.progress: Progress | None = None  # from when the jobs are known
        self.names: dict[int, tuple[str, str]] = {}  # job -> what it is called, its rule with wildcards
        self.reported = float("-inf")
        self.closed = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.full |= record.levelno >= logging.WARNING and lines.says_full(record.getMessage())
        try:
            if self.as_default or not self.takes(record):
                self.default.emit(record)
        except BrokenPipeError:  # the reader has left: the run goes on, and its log file is written
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.stream.fileno())

    def takes(self, record: logging.LogRecord) -> bool:
        """Whether Snakemake's handler need not print the record. A fault in here must not cost a message."""
        try:
            taken = self.follow(record)
            if not taken:
                self.clear()
            return taken
        except BrokenPipeError:
            raise
        except Exception as error:
            self.as_default = True
            self.stream.write(f"\nposenc: cannot show progress ({error!r}); Snakemake's messages follow\n")
            return False

    def follow(self, record: logging.LogRecord) -> bool:
        fields, now, progress = record.__dict__, record.created, self.progress
        match fields.get("event"):
            case LogEvent.WORKFLOW_STARTED:
                self.executing = True
            case LogEvent.RUN_INFO:
                planned = {rule: count for rule, count in fields["stats"].items() if rule != "total"}
                self.progress = Progress(planned)
                self.say(lines.plan(planned))
                if self.redraws:
                    threading.Thread(target=self.keep_drawing, daemon=True).start()
            case LogEvent.JOB_INFO if progress:
                job, rule = fields["jobid"], fields["rule_name"]
                full = " ".join([rule, *(f"{name}={value}" for name, value in fields["wildcards"].items())])
                self.names[job] = (" ".join((fields["rule_msg"] or full).split()), full)
                progress.started(job, rule, now)
            case LogEvent.JOB_FINISHED if progress:
                progress.finished(fields["job_id"], now)
                if not self.redraws and now >= self.reported + REPORT_S and progress.done < progress.total:
                    self.reported = now
                    self.say(self.status(now))
            case LogEvent.PROGRESS if progress:
                progress.total = fields["total"]  # checkpoints add jobs
            case LogEvent.JOB_ERROR if progress and not self.interrupted:
                job, rule = fields["jobid"], fields["rule_name"]
                progress.failed(job, rule, now)
                name, full = self.names.setdefault(job, (rule, rule))
                tail = 0 if self.common_settings.show_failed_logs else LOG_TAIL
                report = lines.failure(name, full, fields["output"], fields["log"], tail)
                self.say(self.default.decorate(record, report))
            case None if record.levelno < logging.WARNING:
                text = record.getMessage()
                self.interrupted |= text.startswith("Terminating processes on user request")
                self.sent_away |= text.startswith(SLURM)
                return bool(NOISE.match(text)) if self.executing else text == SHARED_FILES
            case event:
                missing = OUTPUT_MISSING.search(record.getMessage())
                if progress and missing and int(missing[1]) in progress.running:
                    progress.failed(int(missing[1]), progress.running[int(missing[1])][0], now)
                return record.levelno < logging.WARNING and event != LogEvent.SHELLCMD
        return True

    def status(self, now: float) -> str:
        assert self.progress
        progress, failed, left = self.progress, len(self.progress.failures), self.progress.remaining(now)
        running = [self.names[job][0] for job in progress.running]
        verb = "submitted" if self.sent_away else "running"
        return lines.status(progress.done, progress.total, failed, now - self.began, left, running, verb)

    def say(self, text: str) -> None:
        self.clear()
        self.stream.write(f"posenc: {text}\n")
        self.stream.flush()

    def clear(self) -> None:
        """Take the status line away, so that something else can be printed in its place."""
        if self.redraws and self.progress:
            self.stream.write(CLEAR)

    def keep_drawing(self) -> None:
        while not self.closed.wait(REDRAW_S):
            self.acquire()
            try:
                if self.closed.is_set() or self.as_default:  # since the lock was asked for
                    return
                columns = os.get_terminal_size(self.stream.fileno()).columns or 80
                self.stream.write(CLEAR + f"posenc: {self.status(time.time())}"[: columns - 1])
                self.stream.flush()
            except (OSError, ValueError):  # the terminal went away
                return
            finally:
                self.release()

    def close(self) -> None:
        """The run is over, whichever way."""
        self.acquire()
        try:
            if self.progress and not self.as_default and not self.closed.is_set():
                self.closed.set()
                progress = self.progress
                failed = [self.names[job][0] for job in progress.failures]
                elapsed = time.time() - self.began
                self.say(lines.conclusion(progress.done, progress.total, failed, elapsed, self.full))
        finally:
            self.release()
        super().close()
