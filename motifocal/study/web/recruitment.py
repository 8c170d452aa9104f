"""Read from an invitation link which recruitment service an annotator comes from, and their id.

Recruitment services add who it is to the link; each has its own names for that:

    Prolific               ?PROLIFIC_PID=...&STUDY_ID=...&SESSION_ID=...
    CloudResearch Connect  ?participantId=...&assignmentId=...&projectId=...
    SONA                   ?survey_code=...      (entered there as ?survey_code=%SURVEY_CODE%)
    Mechanical Turk        ?workerId=...&assignmentId=...&hitId=...&turkSubmitTo=...  (legacy)
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

#: Source -> the parameter that says who it is, in the order in which they are looked for.
PARAMETERS: Mapping[str, str] = {
    "prolific": "PROLIFIC_PID",
    "connect": "participantId",
    "sona": "survey_code",
    "mturk": "workerId",
}
LINK, MTURK = "link", "mturk"
#: Other names by which a service's link is known, lower case, letters and digits only.
_MARKS: Mapping[str, str] = {
    "prolificid": "prolific", "studyid": "prolific", "sessionid": "prolific",
    "projectid": "connect", "assignmentid": "connect", "hitid": "mturk", "turksubmitto": "mturk",
    **{name.lower().replace("_", ""): source for source, name in PARAMETERS.items()},
}  # fmt: skip
_SERVICES = {"prolific": "Prolific", "connect": "CloudResearch Connect", "sona": "SONA",
             "mturk": "Mechanical Turk"}
#: What Mechanical Turk sends in place of an assignment while a worker only looks at the task.
NOT_ACCEPTED = "ASSIGNMENT_ID_NOT_AVAILABLE"
#: Where answers may be handed in: an address from a link is not to be trusted.
TURK_HOSTS = ("https://www.mturk.com", "https://workersandbox.mturk.com")
#: The pages of Mechanical Turk that show a task in a frame.
TURK_FRAMES = ("https://worker.mturk.com", *TURK_HOSTS)

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:@-]{0,127}", re.ASCII)


class LinkError(ValueError):
    """A link that does not identify an annotator; the message is for the annotator."""


@dataclass(frozen=True)
class Session:
    """Where an annotator comes from, and after consent their id in the store.

    `external` is the service's id, or a random one for a plain link; `assignment` and `submit_to`
    are Mechanical Turk's.
    """

    source: str = LINK
    external: str = ""
    annotator: str | None = None
    assignment: str | None = None
    submit_to: str | None = None

    @property
    def preview(self) -> bool:
        """Whether it is a worker of Mechanical Turk who has not accepted the task."""
        return self.source == MTURK and self.assignment is None


def read_entry(parameters: Iterable[tuple[str, str]]) -> Session:
    """Read who comes from a link's parameters; other parameters are ignored.

    Raises LinkError for an id that is there twice, is empty or too long, holds other than letters,
    digits and `_.:@-`, or is the placeholder that the service should have replaced; and for a
    service's link without an id, also where its name is in other letters (`prolific_pid`): who
    follows it twice would count as two people.
    """
    parameters = list(parameters)
    given: dict[str, str] = {}
    known = {*PARAMETERS.values(), "assignmentId", "turkSubmitTo"}
    for name, value in parameters:
        if name in known and given.setdefault(name, value) != value:
            raise LinkError(f"The link has two different values for {name}.")
    if given.get("assignmentId") == NOT_ACCEPTED:
        return Session(MTURK)
    for source, name in PARAMETERS.items():
        if name in given:
            return _entry(source, name, given)
    _refuse_lost_id(name for name, _ in parameters)
    return Session(LINK, secrets.token_urlsafe(16))


def _refuse_lost_id(names: Iterable[str]) -> None:
    """Raise LinkError where one of these names, none of them an id's, is a service's."""
    for name in names:
        source = _MARKS.get(re.sub("[^a-z0-9]", "", name.lower()))
        if source is not None:
            raise LinkError(
                f"This link comes from {_SERVICES[source]} but does not say who you are: it has "
                f"{name} and no {PARAMETERS[source]}. Please open the study from the page of "
                f"{_SERVICES[source]} again. If this page comes back, please tell the researcher: "
                "your answers could not be credited to you.")


def _entry(source: str, name: str, given: Mapping[str, str]) -> Session:
    external = _checked(name, given[name])
    if source != MTURK:
        return Session(source, external)
    if "assignmentId" not in given:
        raise LinkError("The link has a workerId and no assignmentId.")
    host = given.get("turkSubmitTo", TURK_HOSTS[0]).rstrip("/")
    if host not in TURK_HOSTS:
        raise LinkError("The link would hand in the answers elsewhere than at Mechanical Turk.")
    return Session(source, external, None, _checked("assignmentId", given["assignmentId"]), host)


def _checked(name: str, value: str) -> str:
    if "%" in value or "{" in value:
        raise LinkError(f"The link has a placeholder in place of the {name}: "
                      "please open it from the recruitment service's own page.")
    if not _ID.fullmatch(value):
        raise LinkError(f"The {name} in the link is damaged.")
    return value
