"""The reference profile says, letter for letter, what the reference model was trained on."""

from imc_reference.text_skills import CORRECT, SAME, WRITE
from prompts import load_prompts

Q, C = "Is ther a lesion {here}?", "Is there a lesion {here}?"


def _user(messages):
    assert [m["role"] for m in messages] == ["user"]
    content = messages[0]["content"]
    return content if isinstance(content, str) else "".join(p.get("text", "") for p in content)


def test_the_roles_say_what_was_trained():
    prompts = load_prompts("reference")
    assert _user(prompts.coordinator.messages(question=Q)) == WRITE
    assert _user(prompts.corrector.messages(question=Q)) == CORRECT.replace("{question}", Q)
    verifier = prompts.verifier.messages(original=Q, candidate=C)
    assert _user(verifier) == SAME.replace("{original}", Q).replace("{candidate}", C)
    assert _user(prompts.answer.messages(question=Q)) == Q
