"""Asks the chat server, and prints a line of JSON a request. ask.py ADDRESS PORT FIRST COUNT"""

import http.client
import json
import sys

address, port, first, count = sys.argv[1], *map(int, sys.argv[2:])
models = ["llama", "org/model:7b", "modèle"]
connection = http.client.HTTPConnection(address, port)
for number in range(first, first + count):
    model, text = models[number % 3], f"number {number}, déjà vu"
    asked = {"model": model, "user": f"ann{number}", "messages": [{"role": "user", "content": text}]}
    fields = {"content-type": "application/json", "x-request-id": f"r{number}", "authorization": "Bearer hunter2"}
    connection.request("POST", "/v1/chat/completions", json.dumps(asked), fields)
    answer = connection.getresponse()
    told = {"request_id": f"r{number}", "model_name": model, "prompt": text, "status": answer.status}
    print(json.dumps({**told, "response_content": answer.read().decode(), "input_tokens": len(text)}))
