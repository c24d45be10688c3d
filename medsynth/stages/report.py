"""Everything complete in a run -> index.html, a page that a physician can read, and report.json, the same for programs.

Needs neither torch nor a network.
"""

from medsynth import interrupt
from medsynth.artifacts import files
from medsynth.job import Job, Result
from medsynth.report import machine
from medsynth.report.page import render

PAGE, FACTS = "index.html", "report.json"


def run(job: Job) -> Result:
    page = render(job.inputs, interrupt.checking(job.progress))
    interrupt.check()
    files.write_text(job.out / PAGE, page.html)
    files.write_json(job.out / FACTS, machine.facts(page.found, page.answer, page.parts))
    facts = {
        "page": f"report/{PAGE}",
        "answer": " ".join(page.answer.headlines),
        "kilobytes": round(len(page.html.encode()) / 1000),
    }
    return Result(summary=facts)
