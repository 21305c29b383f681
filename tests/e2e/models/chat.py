"""litserve: `chat.py chat` speaks OpenAI's API and answers word by word; `chat.py predict` its own;
`chat.py kserve` that of KServe's version 1, whose own package takes 150 MB more, most of it for Kubernetes. On port 8080.
"""

import sys
import time

import litserve

WORDS = ["The", " sky", " is", " blue", " today", "."]
# Seconds before each word.
DELAY = 0.04


class Words(litserve.LitAPI):
    def setup(self, device):
        pass

    def decode_request(self, request, context):
        return request

    def predict(self, request, context):
        asked = str(request.messages[-1].content)
        if request.tools:
            call = {"name": "weather", "arguments": '{"city":"Bern"}'}
            yield {
                "role": "assistant",
                "content": "",
                "tool_calls": [{"id": "call_1", "type": "function", "function": call}],
            }
            return
        for count, word in enumerate(WORDS * 50 if "at length" in asked else WORDS):
            if "fail" in asked and count == 2:
                raise RuntimeError("out of memory")
            time.sleep(DELAY)
            yield {"role": "assistant", "content": word}

    def encode_response(self, answers, context):
        for answer in answers:
            # Of one message each: the server adds them up.
            yield answer | {"prompt_tokens": 7, "completion_tokens": 1, "total_tokens": 8}


class Double(litserve.LitAPI):
    def setup(self, device):
        pass

    def decode_request(self, request):
        return request["input"]

    def predict(self, number):
        return number * 2

    def encode_response(self, number):
        return {"output": number}


class Sums(litserve.LitAPI):
    def setup(self, device):
        pass

    def decode_request(self, request):
        return request["instances"]

    def predict(self, rows):
        return [sum(row) for row in rows]

    def encode_response(self, sums):
        return {"predictions": sums}


if __name__ == "__main__":
    apis = {
        "chat": lambda: Words(spec=litserve.OpenAISpec()),
        "predict": Double,
        "kserve": lambda: Sums(api_path="/v1/models/sums:predict"),
    }
    server = litserve.LitServer(apis[sys.argv[1]](), accelerator="cpu", workers_per_device=1)
    # It takes no address but this and the loopback's.
    server.run(host="0.0.0.0", port=8080, generate_client_file=False, log_level="warning")
