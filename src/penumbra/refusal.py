"""A refusal: something that arrived cannot be used, and says why."""


class Refusal(Exception):
    """Input that cannot be used; becomes one row of `rejections` while the others go on.

    rule    short name of the rule that was broken, e.g. "gtv_not_empty".
    found   the value found, without any identifying attribute.
    advice  what the sender or the user can do.
    """

    def __init__(self, rule: str, found: str, advice: str) -> None:
        super().__init__(rule, found, advice)  # all three as args, so that it crosses process borders
        self.rule = rule
        self.found = found
        self.advice = advice

    def __str__(self) -> str:
        return f"{self.rule}: {self.found}. {self.advice}"
