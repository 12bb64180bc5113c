"""What a look at a provider found, before anything is paid."""

from dataclasses import dataclass

from po_optimizer.errors import SettingError

_NEEDS = {
    "litellm_provider": "a model whose name begins with a provider of LiteLLM's",
    "litellm_keys": "the keys that the provider wants",
    "ollama_answers": "an Ollama server that answers",
    "ollama_context": "a num_ctx of lm.context_tokens or more",
    "ollama_model_pulled": "a model that is pulled",
    "ollama_model_context": "at most the context that the model has",
    "server_answers": "a server that answers",
    "server_key": "the server's key",
    "server_has_model": "a model that the server has",
    "google_auth_installed": "the package google-auth",
    "vertex_credentials": "application-default credentials",
    "vertex_project": "a Google Cloud project",
}


@dataclass(frozen=True)
class Finding:
    """One thing that must hold before an LM is asked.

    Args:
        name: Of the check, unique for one LM.
        setting: The parameter that decides it.
        value: What stands there.
        problem: What is wrong; empty if nothing is.
        remedy: What to type or to set.
    """

    name: str
    setting: str
    value: str | int | None
    problem: str = ""
    remedy: str = ""

    @property
    def needs(self) -> str:
        """What would pass, in words."""
        return _NEEDS[self.name]

    def as_error(self) -> SettingError:
        """The finding as the error that the user reads."""
        return SettingError(self.setting, self.value, self.problem, self.remedy)
