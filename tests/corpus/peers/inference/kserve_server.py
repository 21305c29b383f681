"""A model of KServe's version 1: python kserve_server.py PORT"""

import sys

import kserve


class Sum(kserve.Model):
    def __init__(self, name):
        super().__init__(name)
        self.ready = True

    def predict(self, payload, headers=None, response_headers=None):
        return {"predictions": [sum(row) for row in payload["instances"]]}

    def explain(self, payload, headers=None):
        return {"explanations": [{"feature": "first", "weight": row[0]} for row in payload["instances"]]}


kserve.ModelServer(http_port=int(sys.argv[1]), enable_grpc=False, workers=1).start([Sum("sum")])
