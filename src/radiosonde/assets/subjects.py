"""The texts of all runbooks, by subject: where to find the cause, how to contain it, how to verify a fix, and what misleads.

A subject is a kind of fault. `radiosonde.assets.kinds` assigns one to each alert and to each kind of incident, so that the page of an
alert (`radiosonde.assets.runbooks`) and the runbook of an incident (`radiosonde.runbook`) have the same texts. Commands contain
placeholders: the words in `radiosonde.assets.subject.EXAMPLES`, and STORE, MODEL and ID.
"""

from __future__ import annotations

from typing import Final

from radiosonde.assets.subject import Choice, RunbookStep, Subject

_TRIAGE = RunbookStep("The last minutes on one screen, beside what is usual", "radiosonde triage STORE --model MODEL")
_DIAGNOSE = RunbookStep(
    "What is wrong, where, since when, and how certain that is",
    "radiosonde diagnose STORE --model MODEL",
)
LISTED = RunbookStep("The incidents that are open, with their ids", "radiosonde incident list STORE --open")
_SHOW = RunbookStep("The incident with its evidence and next steps", "radiosonde incident show STORE ID")
_VERIFY = RunbookStep(
    "Whether the rate is back to what was usual, and which rate would have been noticed (exit code 0: fixed)",
    "radiosonde incident verify STORE ID",
)
_FIXED_AT = RunbookStep("The same, with the moment of the fix", "radiosonde incident verify STORE ID --since FIXED")
_DECLARED = RunbookStep(
    "The commands of the team, its contacts and the flag, as declared in `radiosonde.toml`",
    "radiosonde config show CONFIG",
)
_ACK = RunbookStep(
    "Acknowledge it, so that others know", 'radiosonde incident ack STORE ID --for 2h --why "working on it"'
)
_EXCLUDE = RunbookStep(
    "When it is over, keep that time out of every baseline",
    'radiosonde baseline exclude STORE FROM TO --why "outage"',
)
_CANARY = RunbookStep("The new version beside the old one, by cohort", "radiosonde canary STORE --model MODEL")
_DOCTOR = RunbookStep("What would be observed and exported in the server's environment", "radiosonde doctor")
_HELD = RunbookStep("What the store holds of which model, and until when", "radiosonde store show STORE")
_STALE = RunbookStep("Whether anything was written lately (exit code 4: stale)", "radiosonde diagnose STORE")
_ARRIVES = RunbookStep("Whether windows arrive again", "radiosonde store show STORE")

_CONTAIN = (_ACK, _DECLARED, _EXCLUDE)

_FALLBACK_OF_ALL = Choice(
    "mitigate.fallback",
    "No other mitigation helps within minutes, and a simpler answer is better than none.",
    "The fallback needs the same input or the same backend, or its answers cost more than the fault does.",
)

SUBJECTS: Final[dict[str, Subject]] = {
    "failures": Subject(
        (
            _TRIAGE,
            _DIAGNOSE,
            LISTED,
            _SHOW,
            RunbookStep("The inputs that were in flight, if processes died", "radiosonde blackbox SPOOL --dead"),
        ),
        (_VERIFY, _FIXED_AT),
        _CONTAIN,
        (
            Choice(
                "rollback",
                "The failures began with a version, a deployment or a configuration.",
                "All versions fail alike, or nothing was deployed before the onset: the older version would fail too.",
            ),
            _FALLBACK_OF_ALL,
            Choice(
                "mitigate.throttle",
                "Calls fail because they are too many: failures rise with the calls, or a backend refuses them.",
                "The share of failures is the same at low traffic: fewer calls would fail at the same rate.",
            ),
            Choice(
                "mitigate.restart",
                "Single processes fail and the others do not.",
                "All processes fail: a restart loses warm caches and cures nothing.",
            ),
        ),
        (
            "A roll-back cures a version, not a cohort that fails in all versions: look at the place first.",
            "Retries raise calls and failures together; the share may stay while users suffer.",
            "The burn rate falls as soon as the window of an hour has passed, whether or not somebody fixed it.",
        ),
    ),
    "cohort": Subject(
        (_TRIAGE, _DIAGNOSE, LISTED, _SHOW),
        (_VERIFY, _FIXED_AT),
        _CONTAIN,
        (
            Choice(
                "mitigate.fallback",
                "The cohort can be served by something else while its requests or its data are repaired.",
                "The fallback cannot be limited to the cohort: the others would get worse answers without need.",
            ),
            Choice(
                "mitigate.flag_off",
                "The flag switches the model for this cohort alone, or for what only this cohort uses.",
                "The flag switches it for all: the other cohorts are not affected.",
            ),
            Choice(
                "rollback",
                "A deployment shortly before the onset changed how this cohort is encoded or routed.",
                "The cohort fails in all versions: the older version fails on it too.",
            ),
        ),
        (
            "The rate over all calls hides it: a cohort of 2 % of the calls that always fails is 2 % of failures.",
            "A cohort whose callers stop calling looks cured. Compare its calls, not only its failures.",
            "A cohort that always failed is not found by comparison with its past.",
        ),
    ),
    "latency": Subject(
        (_TRIAGE, _DIAGNOSE, LISTED, _SHOW),
        (_VERIFY, _FIXED_AT),
        _CONTAIN,
        (
            Choice(
                "rollback",
                "One version is slow and the others are not, or calls compute more than before.",
                "All versions wait for the same phase: the older version waits too.",
            ),
            Choice(
                "mitigate.scale",
                "The processes are short of CPU, or calls wait for a thread.",
                "Calls wait for a backend: more processes add load to it.",
            ),
            Choice(
                "mitigate.throttle",
                "Traffic rose before the calls became slow.",
                "Traffic is as usual.",
            ),
            Choice(
                "mitigate.fallback",
                "The slow phase is a backend that the fallback does not need.",
                "The fallback calls the same backend.",
            ),
        ),
        (
            "The slowest phase is where the time goes, not always why: throttling and garbage collection slow all phases.",
            "A percentile over all cohorts hides one that waits ten times as long.",
            "More replicas do not help where a backend is the limit.",
        ),
    ),
    "absent": Subject(
        (_DOCTOR, _HELD, _STALE),
        (_ARRIVES, _TRIAGE),
        (_DECLARED,),
        (
            Choice(
                "mitigate.restart",
                "A process is alive and counts nothing, and others of its version go on.",
                "The calls themselves have stopped: check the callers first. A restart would lose what is not yet written.",
            ),
            Choice(
                "rollback",
                "The telemetry stopped with a deployment that changed settings or libraries.",
                "The collector or the disk is down: the model serves as before.",
            ),
        ),
        (
            "No telemetry is not no traffic: a model that nobody calls keeps its series.",
            "A server that was renamed or moved to another job is absent under its former name for an hour.",
            "While it lasts, no other alert of this model can fire.",
        ),
    ),
    "features": Subject(
        (
            _DIAGNOSE,
            LISTED,
            _SHOW,
            RunbookStep("What the training data looked like", "radiosonde reference show REFERENCE"),
        ),
        (_VERIFY, _DIAGNOSE),
        _CONTAIN,
        (
            Choice(
                "mitigate.fallback",
                "The model depends on the feature: answers to a wrong unit or to missing values look valid and are not.",
                "The model was trained with missing values of this feature, and few rows are affected.",
            ),
            Choice(
                "mitigate.flag_off",
                "A wrong answer costs more than no answer.",
                "The feature hardly matters to the model, and the answers did not change.",
            ),
            Choice(
                "rollback",
                "The feature broke with a deployment of the model server: encoding, joining or parsing changed.",
                "Both versions get the broken feature: its producer is upstream of them.",
            ),
        ),
        (
            "Rolling the model back does not bring a feature back. Its producer is where to look.",
            "A season moves many features a little; a broken feature moves one a lot.",
            "A new reference built from broken rows makes the fault the norm.",
        ),
    ),
    "drift": Subject(
        (_DIAGNOSE, _SHOW, _CANARY),
        (_DIAGNOSE,),
        (_ACK,),
        (
            Choice(
                "mitigate.fallback",
                "Labels or answers show that the model is wrong for the new inputs.",
                "Only the inputs moved: a model may be right about inputs that it has seldom seen.",
            ),
            Choice(
                "rollback",
                "The older version was trained on data like the present ones.",
                "The world changed: the older version knows it no better.",
            ),
        ),
        (
            "A drift is a distance, not a loss: quality decides, and it is known only when labels have come.",
            "A season and a new group of users drift without a fault.",
            "A reference that is replaced whenever it drifts never shows anything again.",
        ),
    ),
    "answers": Subject(
        (
            _DIAGNOSE,
            _CANARY,
            RunbookStep(
                "The features that moved before the answers did",
                "radiosonde triage STORE --model MODEL --last 60",
            ),
        ),
        (_DIAGNOSE,),
        (_ACK, _DECLARED),
        (
            Choice(
                "rollback",
                "The answers changed with a version, and the inputs did not change.",
                "The inputs changed first: the older version answers them in its own way, not rightly.",
            ),
            Choice(
                "mitigate.flag_off",
                "Nearly all answers are alike: the model no longer distinguishes.",
                "The answers follow inputs that really changed.",
            ),
            _FALLBACK_OF_ALL,
        ),
        (
            "Other answers to other inputs are right: look at the features first.",
            "Without labels, other answers are not worse answers.",
        ),
    ),
    "labels": Subject(
        (
            _DIAGNOSE,
            RunbookStep(
                "What a file of labels would do, by its results", "radiosonde label LABELS --to STORE.labels.sqlite"
            ),
            _DOCTOR,
        ),
        (
            RunbookStep(
                "The quality of each version, or why it is not known", "radiosonde diagnose STORE --require labels"
            ),
        ),
        (_ACK,),
        (),
        (
            "Labels that stopped look like good quality: the last figure stays, and no wrong answer is counted any more.",
            "Until slow labels have come, quality is that of what is labelled fast, which is often the easy part.",
            "Labels that come with another id are counted as unknown, not as missing.",
        ),
    ),
    "quality": Subject(
        (_DIAGNOSE, _SHOW, _CANARY),
        (
            _VERIFY,
            RunbookStep("The quality of each version, with its interval", "radiosonde diagnose STORE --require labels"),
        ),
        _CONTAIN,
        (
            Choice(
                "rollback",
                "Wrong answers rose with a version, and the version before it has fewer at equal lag of labels.",
                "Wrong answers rose in all versions: the inputs or the world changed.",
            ),
            Choice(
                "mitigate.flag_off",
                "Wrong answers cost more than no answers.",
                "The interval of the figure still contains its usual value.",
            ),
            _FALLBACK_OF_ALL,
        ),
        (
            "Young predictions have early labels only, which are a biased sample. Compare at equal lag, as these commands do.",
            "A fix shows when the labels of predictions after it have come, not at once.",
            "A change of who is labelled changes the figure without changing the model.",
        ),
    ),
    "canary": Subject(
        (
            _CANARY,
            _DIAGNOSE,
            _SHOW,
            RunbookStep("The same as one page", "radiosonde canary STORE --model MODEL --html canary.html"),
        ),
        (_CANARY, _VERIFY),
        (_ACK, _DECLARED),
        (
            Choice(
                "mitigate.canary_off",
                "The version that fails is the canary: the stable version takes its calls at once.",
                "The version has all calls already: there is no stable version beside it.",
            ),
            Choice(
                "mitigate.flag_off",
                "The version is switched by the flag.",
                "The flag switches more than this version.",
            ),
            Choice(
                "rollback",
                "The version has all calls, and the version before it did not fail.",
                "The other versions fail as well: see the place of the finding.",
            ),
        ),
        (
            "Labels of a version that was rolled out later are younger. Compare at equal lag, as these commands do.",
            "A canary that gets other callers than the stable version differs without being worse.",
            "A version without calls has no failures: verify on the calls that the stable version took over.",
        ),
    ),
    "host": Subject(
        (_TRIAGE, _DIAGNOSE, LISTED),
        (_VERIFY, _TRIAGE),
        (_ACK, _DECLARED),
        (
            Choice(
                "mitigate.scale",
                "The processes are short of CPU or threads at usual traffic per process.",
                "Memory grows by itself: more processes leak more.",
            ),
            Choice(
                "mitigate.throttle",
                "Traffic rose before the processes stalled.",
                "Traffic is as usual.",
            ),
            Choice(
                "mitigate.restart",
                "Memory is about to reach its limit: a restart at a chosen moment is better than a kill at another.",
                "The cause is not recorded yet: a restart removes the evidence.",
            ),
            Choice(
                "rollback",
                "The stalls or the growth began with a version.",
                "Processes of all versions stall, or other programs take the CPU of the host.",
            ),
        ),
        (
            "A restart hides a leak: memory is low again and grows at the same rate. Verify over the time it took to fill.",
            "CPU usage below the limit does not rule throttling out: the limit is kept in periods of a tenth of a second.",
            "More threads in numerical libraries make throttling worse.",
        ),
    ),
    "traffic": Subject(
        (_TRIAGE, _DIAGNOSE, _SHOW, _HELD),
        (_VERIFY, _TRIAGE),
        _CONTAIN,
        (
            Choice(
                "mitigate.throttle",
                "Calls rose and failures or slow calls came with them.",
                "Calls fell: fewer are accepted already.",
            ),
            Choice(
                "mitigate.scale",
                "Calls rose, they are wanted, and the processes are short of CPU.",
                "The rise consists of retries: more capacity feeds them.",
            ),
            Choice(
                "mitigate.canary_off",
                "The canary gets another share of the calls than was configured.",
                "No rollout is going on.",
            ),
            Choice(
                "rollback",
                "Calls fell with a deployment: the route or the health check of the new version is wrong.",
                "The callers stopped by themselves: ask them first.",
            ),
        ),
        (
            "Fewer calls lower failures, latency and load together: everything else looks better.",
            "A model that is served from a cache or a fallback gets fewer calls, and nothing is wrong with it.",
            "Calls that doubled may be retries of calls that fail somewhere else.",
        ),
    ),
    "sdk": Subject(
        (_DOCTOR, _HELD),
        (_DOCTOR,),
        (RunbookStep("What is in force", "radiosonde config show CONFIG"),),
        (),
        (
            "Predictions are not affected. The figures of all other alerts are too low by as much.",
            "A loss at the exit of short-lived processes is their number, not a fault that grows.",
        ),
    ),
    "watch": Subject(
        (
            RunbookStep("Why it cannot look", "radiosonde watch STORE --once"),
            _HELD,
            RunbookStep("What it would send, without sending it", "radiosonde watch STORE --dry-run"),
        ),
        (RunbookStep("Whether it looks (exit code of diagnose)", "radiosonde watch STORE --once"),),
        (RunbookStep("Older windows added up, where looks take long", "radiosonde store compact STORE"),),
        (),
        (
            "A second watch that stands by is no fault: it shows `radiosonde_watch_leading` 0.",
            "While it lasts, incidents are neither opened nor closed.",
        ),
    ),
    "incident": Subject(
        (
            _SHOW,
            RunbookStep(
                "Its runbook, with the commands of the team and the facts so far",
                "radiosonde incident runbook STORE ID",
            ),
            _TRIAGE,
            _DIAGNOSE,
        ),
        (_VERIFY, _FIXED_AT),
        (
            *_CONTAIN,
            RunbookStep(
                "Let it call for nobody until the fix is out",
                'radiosonde incident mute STORE ID --for 2h --why "known"',
            ),
        ),
        (),
        (
            "The place is where it was found, with all others looked at; the cause may be upstream of it.",
            "A silence in Alertmanager is not known to the store; `incident mute` is, and ends by itself.",
        ),
    ),
}
"""By subject."""
