"""A model of LitServe: python litserve_server.py PORT"""

import sys

import litserve


class Square(litserve.LitAPI):
    def setup(self, device):
        pass

    def decode_request(self, request):
        return request["input"]

    def predict(self, x):
        return x**2

    def encode_response(self, output):
        return {"output": output}


if __name__ == "__main__":
    litserve.LitServer(Square(), accelerator="cpu").run(port=int(sys.argv[1]), host="127.0.0.1", generate_client_file=False)
