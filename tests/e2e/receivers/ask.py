"""Asks models in turn, and says what was sent and what came: ask.py ADDRESS FIRST COUNT MODEL..."""
import http.client
import json
import sys
from urllib.parse import quote

address, first, count, *models = sys.argv[1:]
connection = http.client.HTTPConnection(address, 8080)
for number in range(int(first), int(first) + int(count)):
    model = models[number % len(models)]
    tensor = {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [number, 0.5]}
    body = json.dumps({"id": str(number), "inputs": [tensor]}, separators=(",  ", ": "))
    connection.request("POST", f"/v2/models/{quote(model)}/infer", body, {"Content-Type": "application/json"})
    answer = connection.getresponse().read().decode()
    print(json.dumps({"model": model, "id": str(number), "request": body, "response": answer}))
