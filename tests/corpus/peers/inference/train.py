"""Writes the model that MLServer serves: python train.py DIRECTORY HTTP_PORT GRPC_PORT METRICS_PORT"""

import json
import pathlib
import sys

import joblib
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

root = pathlib.Path(sys.argv[1])
http, grpc, metrics = map(int, sys.argv[2:5])
(root / "iris").mkdir(parents=True)
joblib.dump(LogisticRegression(max_iter=500).fit(*load_iris(return_X_y=True)), root / "iris/model.joblib")
settings = {"http_port": http, "grpc_port": grpc, "metrics_port": metrics, "host": "127.0.0.1", "parallel_workers": 0}
(root / "settings.json").write_text(json.dumps(settings))
model = {"name": "iris", "implementation": "mlserver_sklearn.SKLearnModel", "parameters": {"uri": "./model.joblib", "version": "v1"}}
(root / "iris/model-settings.json").write_text(json.dumps(model))
