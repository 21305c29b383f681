"""Clients of model servers, and what each itself knows: python client.py CASE PORT LOG"""

import http.client
import json
import sys

import numpy
import tritonclient.grpc
import tritonclient.http

FLOWERS = numpy.array([[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]], dtype=numpy.float32)


def tensor(name, datatype, array):
    return {"name": name, "datatype": datatype, "shape": list(array.shape), "data": array.flatten().tolist()}


def entry(method, path, inference, status=200):
    return {"method": method, "path": path, "status": status, "inference": inference}


def of_iris(answer, name, request_id, **more):
    told = answer.get_output(name)
    datatype = told["datatype"] if isinstance(told, dict) else told.datatype
    return {
        "dialect": "open_inference",
        "operation": "infer",
        "model": "iris",
        "version": "v1",
        "response_model": "iris",
        "id": request_id,
        "inputs": [tensor("x", "FP32", FLOWERS)],
        "outputs": [tensor(name, datatype, answer.as_numpy(name))],
        "batch": 2,
        **more,
    }


def triton_json(port):
    client = tritonclient.http.InferenceServerClient(f"127.0.0.1:{port}")
    log = []
    for name in ["predict", "predict_proba"]:
        asked = tritonclient.http.InferInput("x", FLOWERS.shape, "FP32")
        asked.set_data_from_numpy(FLOWERS, binary_data=False)
        wanted = tritonclient.http.InferRequestedOutput(name, binary_data=False)
        answer = client.infer("iris", [asked], request_id=name, outputs=[wanted])
        log.append(entry("POST", "/v2/models/iris/infer", of_iris(answer, name, name)))
    return log


def triton_binary(port):
    client = tritonclient.http.InferenceServerClient(f"127.0.0.1:{port}")
    texts = numpy.array(["a", "\u00fcbel \U0001f600", ""], dtype=object)
    log = []
    for rows in [2, 0]:
        x = tritonclient.http.InferInput("x", FLOWERS[:rows].shape, "FP32")
        x.set_data_from_numpy(FLOWERS[:rows], binary_data=True)
        names = tritonclient.http.InferInput("names", texts.shape, "BYTES")
        names.set_data_from_numpy(texts, binary_data=True)
        answer = client.infer("sum", [x, names], request_id=f"r{rows}", model_version="2")
        back = numpy.array([text.decode() for text in answer.as_numpy("names")], dtype=object)
        told = {"dialect": "open_inference", "model": "sum", "version": "2", "id": f"r{rows}"}
        told["inputs"] = [tensor("x", "FP32", FLOWERS[:rows]), tensor("names", "BYTES", texts)]
        told["outputs"] = [tensor("sum", "FP16", answer.as_numpy("sum")), tensor("names", "BYTES", back)]
        log.append(entry("POST", "/v2/models/sum/versions/2/infer", told))
    return log


def rest(port):
    log = triton_json(port)
    connection = http.client.HTTPConnection("127.0.0.1", port)
    said = exchange(connection, "POST", "/v2/models/none/infer", {"inputs": []})
    told = {"dialect": "open_inference", "model": "none", "inputs": [], "error": said[1]["error"]}
    log.append(entry("POST", "/v2/models/none/infer", told, said[0]))
    columns = ["sepal length", "sepal width", "petal length", "petal width"]
    inputs = [
        {"name": name, "shape": [2, 1], "datatype": "FP64", "data": data} for name, data in zip(columns, FLOWERS.T.tolist())
    ]
    status, _ = exchange(connection, "POST", "/v2/models/iris/infer", {"parameters": {"content_type": "pd"}, "inputs": inputs})
    told = {"model": "iris", "inputs": inputs, "parameters": {"content_type": "pd"}, "batch": 2}
    log.append(entry("POST", "/v2/models/iris/infer", told, status))
    status, said = exchange(connection, "GET", "/v2/models/iris")
    told = {"operation": "metadata", "model": "iris", "response_model": said["name"]}
    log.append(entry("GET", "/v2/models/iris", told, status))
    return log


def exchange(connection, method, path, content=None):
    body = None if content is None else json.dumps(content)
    connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
    response = connection.getresponse()
    return response.status, json.loads(response.read())


def grpc(port):
    client = tritonclient.grpc.InferenceServerClient(f"127.0.0.1:{port}")
    path = "/inference.GRPCInferenceService/"
    client.is_server_live()
    log = [entry("POST", path + "ServerLive", {"dialect": "open_inference", "operation": "metadata"})]
    for name in ["predict", "predict_proba"]:
        asked = tritonclient.grpc.InferInput("x", FLOWERS.shape, "FP32")
        asked.set_data_from_numpy(FLOWERS)
        answer = client.infer("iris", [asked], request_id=name, outputs=[tritonclient.grpc.InferRequestedOutput(name)])
        log.append(entry("POST", path + "ModelInfer", of_iris(answer, name, name)))
    try:
        client.infer("none", [asked], client_timeout=10)
        sys.exit("there is a model that there is not")
    except tritonclient.grpc.InferenceServerException as error:
        told = {"model": "none", "inputs": [tensor("x", "FP32", FLOWERS)], "outputs": [], "error": error.message()}
        log.append(entry("POST", path + "ModelInfer", told))
    client.close()
    return log


def kserve(port):
    connection = http.client.HTTPConnection("127.0.0.1", port)
    rows = {"instances": [[1, 2.5], [-3, 4]]}
    log = []
    for verb, operation, answers in [("predict", "infer", "predictions"), ("explain", "explain", "explanations")]:
        path = f"/v1/models/sum:{verb}"
        status, said = exchange(connection, "POST", path, rows)
        told = {"dialect": "kserve_v1", "operation": operation, "model": "sum", "batch": 2}
        told["inputs"] = [{"name": "", "shape": [2, 2], "data": [1, 2.5, -3, 4]}]
        if verb == "predict":
            told["outputs"] = [{"name": "", "shape": [2], "data": said[answers]}]
        else:
            of = lambda key: {"name": key, "shape": [2], "data": [row[key] for row in said[answers]]}
            told["outputs"] = [of("feature"), of("weight")]
        log.append(entry("POST", path, told, status))
    status, said = exchange(connection, "POST", "/v1/models/none:predict", rows)
    log.append(entry("POST", "/v1/models/none:predict", {"model": "none", "outputs": [], "error": said["error"]}, status))
    status, said = exchange(connection, "GET", "/v1/models/sum")
    log.append(entry("GET", "/v1/models/sum", {"dialect": "kserve_v1", "operation": "metadata", "model": "sum", "response_model": said["name"]}, status))
    status, said = exchange(connection, "GET", "/v1/models")
    log.append(entry("GET", "/v1/models", {"dialect": "kserve_v1", "operation": "metadata"}, status))
    return log


def litserve(port):
    connection = http.client.HTTPConnection("127.0.0.1", port)
    log = []
    for value in [4.0, -1.5]:
        status, said = exchange(connection, "POST", "/predict", {"input": value})
        one = lambda name, data: [{"name": name, "shape": [], "data": [data]}]
        told = {"dialect": "invocations", "operation": "infer"}
        told |= {"inputs": one("input", value), "outputs": one("output", said["output"])}
        log.append(entry("POST", "/predict", told, status))
    return log


CASES = {
    "mlserver_rest": rest,
    "triton_binary": triton_binary,
    "mlserver_grpc": grpc,
    "kserve_v1": kserve,
    "litserve": litserve,
}

case, port, path = sys.argv[1:]
with open(path, "w") as file:
    json.dump(CASES[case](int(port)), file)
