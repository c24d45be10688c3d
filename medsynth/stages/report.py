"""Everything complete in a run -> index.html, one page that a physician can read. Needs neither torch nor a network."""

from medsynth.artifacts import files
from medsynth.job import Job, Result
from medsynth.report.page import render

PAGE = "index.html"


def run(job: Job) -> Result:
    page = render(job.inputs, job.progress)
    files.write_text(job.out / PAGE, page.html)
    facts = {
        "page": f"report/{PAGE}",
        "answer": " ".join(page.answer.headlines),
        "kilobytes": round(len(page.html.encode()) / 1000),
    }
    return Result(summary=facts)
