"""OpenAI's chat, as DSPy writes it, over Ollama's own protocol."""

import json

import pytest
from dspy._vendor.lm15.transports import TransportError, TransportRequest

from po_optimizer.lms.ollama_chat import OllamaTransport, _from_ollama
from tests.servers.wire import serving


@pytest.fixture
def server():
    """A server that says yes."""
    with serving(lambda prompt: "yes") as running:
        yield running


def send(server, **body):
    """What a chat request gives, and what the server got."""
    body = {"model": "m", "messages": [{"role": "user", "content": "?"}], **body}
    transport = OllamaTransport(server.address, 5.0, sends_key=False)
    request = TransportRequest("POST", "http://x/v1", [], json.dumps(body).encode())
    answer = json.loads(transport.stream(request).read())
    transport.close()
    return answer, server.chats[-1]


def test_settings_are_options_and_the_schema_is_the_format(server):
    """Ollama's own words stand beside them."""
    schema = {"type": "object"}
    form = {"type": "json_schema", "json_schema": {"schema": schema}}
    settings = {"max_tokens": 9, "temperature": 0.5, "num_ctx": 99, "think": False}
    _, sent = send(server, response_format=form, stream=True, **settings)
    assert sent["format"] == schema
    assert sent["options"] == {"num_predict": 9, "temperature": 0.5, "num_ctx": 99}
    assert (sent["think"], sent["stream"]) == (False, False)


def test_images_stand_beside_the_text(server):
    """As base64, without the address of a data URL."""
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    content = [{"type": "text", "text": "what is it?"}, image]
    _, sent = send(server, messages=[{"role": "user", "content": content}])
    assert sent["messages"] == [
        {"role": "user", "content": "what is it?", "images": ["AAAA"]}
    ]


def test_calls_of_tools_are_mappings_there_and_texts_here(server):
    """Both ways, whichever side made them."""
    call = {"function": {"name": "add", "arguments": '{"a": 1}'}, "id": "1"}
    asked = {"role": "assistant", "content": None, "tool_calls": [call]}
    _, sent = send(server, messages=[asked], tools=[{"type": "function"}])
    made = sent["messages"][0]["tool_calls"]
    assert made == [{"function": {"name": "add", "arguments": {"a": 1}}}]
    message = {"content": "", "thinking": "hm", "tool_calls": made}
    answer = {"message": message, "done_reason": "length"}
    choice = _from_ollama(answer)["choices"][0]
    assert choice["finish_reason"] == "length"
    assert choice["message"]["reasoning_content"] == "hm"
    arguments = choice["message"]["tool_calls"][0]["function"]["arguments"]
    assert json.loads(arguments) == {"a": 1}


@pytest.mark.parametrize("fault", ["truncated JSON", "reset"])
def test_answer_that_was_cut_is_a_fault_of_the_wire(server, fault):
    """DSPy asks again."""
    server.faults = [fault]
    with pytest.raises(TransportError):
        send(server)
