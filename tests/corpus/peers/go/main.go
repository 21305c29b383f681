// gRPC and HTTP/2 of Go's libraries, for the corpus: a server and a client in one process, whose log is the client's.
//
//	main PORT LOG grpc|http2|serve
package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/h2c"
	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/health"
	healthgrpc "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
)

type message struct {
	Size     int `json:"size"`
	WireSize int `json:"wire_size,omitempty"`
}

type side struct {
	Size     *int      `json:"size,omitempty"`
	Crc32    *uint32   `json:"crc32,omitempty"`
	Messages []message `json:"messages,omitempty"`
}

type abort struct {
	By   string `json:"by"`
	Code string `json:"code"`
}

type exchange struct {
	Method   string  `json:"method,omitempty"`
	Path     string  `json:"path,omitempty"`
	Status   int     `json:"status,omitempty"`
	Grpc     string  `json:"grpc_status,omitempty"`
	Message  *string `json:"grpc_message,omitempty"`
	Request  side    `json:"request"`
	Response side    `json:"response"`
	Abort    *abort  `json:"abort,omitempty"`
}

var (
	lock sync.Mutex
	all  []*exchange
)

// Codes as the specification writes them.
var names = map[string]string{"OK": "OK", "NotFound": "NOT_FOUND", "Unimplemented": "UNIMPLEMENTED", "Canceled": "CANCELLED"}

// recorder is told by grpc-go what a call sends and receives.
type recorder struct{}

type key struct{}

func (recorder) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context {
	lock.Lock()
	defer lock.Unlock()
	call := &exchange{Method: "POST", Path: info.FullMethodName, Status: 200}
	all = append(all, call)
	return context.WithValue(ctx, key{}, call)
}

func (recorder) HandleRPC(ctx context.Context, what stats.RPCStats) {
	lock.Lock()
	defer lock.Unlock()
	call := ctx.Value(key{}).(*exchange)
	// The length on the wire counts the prefix of five bytes.
	switch what := what.(type) {
	case *stats.OutPayload:
		call.Request.Messages = append(call.Request.Messages, message{what.Length, what.WireLength - 5})
	case *stats.InPayload:
		call.Response.Messages = append(call.Response.Messages, message{what.Length, what.WireLength - 5})
	case *stats.End:
		if what.Error == io.EOF {
			what.Error = nil
		}
		told := status.Convert(what.Error)
		call.Grpc = names[told.Code().String()]
		if text := told.Message(); text != "" {
			call.Message = &text
		}
	}
}

func (recorder) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (recorder) HandleConn(context.Context, stats.ConnStats)                       {}

func calls(listener net.Listener) {
	models := health.NewServer()
	models.SetServingStatus("model", healthgrpc.HealthCheckResponse_SERVING)
	server := grpc.NewServer()
	healthgrpc.RegisterHealthServer(server, models)
	go server.Serve(listener)
	address := listener.Addr().String()
	connection, err := grpc.Dial(address, grpc.WithInsecure(), grpc.WithBlock(), grpc.WithStatsHandler(recorder{}))
	if err != nil {
		log.Fatal(err)
	}
	client := healthgrpc.NewHealthClient(connection)
	ctx := context.Background()
	for _, name := range []string{"model", "model", "no such model", "", strings.Repeat("long ", 8_000), "model"} {
		client.Check(ctx, &healthgrpc.HealthCheckRequest{Service: name})
		client.Check(ctx, &healthgrpc.HealthCheckRequest{Service: name}, grpc.UseCompressor(gzip.Name))
	}
	connection.Invoke(ctx, "/interceptor.Corpus/NoSuchMethod", &healthgrpc.HealthCheckRequest{}, &healthgrpc.HealthCheckResponse{})
	watched, stop := context.WithCancel(ctx)
	watch, err := client.Watch(watched, &healthgrpc.HealthCheckRequest{Service: "model"})
	if err != nil {
		log.Fatal(err)
	}
	for number := range [4]int{} {
		if _, err := watch.Recv(); err != nil {
			log.Fatal(err)
		}
		models.SetServingStatus("model", healthgrpc.HealthCheckResponse_ServingStatus(2-number%2))
	}
	watch.Recv()
	stop()
	watch.Recv()
	time.Sleep(50 * time.Millisecond)
	server.GracefulStop()
	connection.Close()
	// What the client decided by itself is not on the wire.
	last := all[len(all)-1]
	last.Grpc, last.Message, last.Abort = "", nil, &abort{"client", "CANCEL"}
}

func whole(content []byte) side {
	size, sum := len(content), crc32.ChecksumIEEE(content)
	return side{Size: &size, Crc32: &sum}
}

func requests(listener net.Listener) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Trailer", "X-Sum")
		if r.URL.Path == "/missing" {
			w.WriteHeader(404)
		}
		fmt.Fprintf(w, "%s of %d bytes\n", r.URL.Path, len(body))
		w.(http.Flusher).Flush()
		io.WriteString(w, strings.Repeat("go ", len(body)))
		w.Header().Set("X-Sum", fmt.Sprint(crc32.ChecksumIEEE(body)))
	})
	if os.Args[3] == "serve" {
		log.Fatal(http.Serve(listener, h2c.NewHandler(handler, &http2.Server{})))
	}
	go http.Serve(listener, h2c.NewHandler(handler, &http2.Server{}))
	dial := func(network, address string) (net.Conn, error) { return net.Dial(network, address) }
	transport := &http2.Transport{AllowHTTP: true}
	transport.DialTLS = func(network, address string, _ *tls.Config) (net.Conn, error) { return dial(network, address) }
	client := &http.Client{Transport: transport, Timeout: 10 * time.Second}
	for number, path := range []string{"/a", "/missing", "/b", "/large"} {
		body := strings.Repeat("x", []int{0, 3, 100, 20_000}[number])
		request, _ := http.NewRequest("POST", "http://"+listener.Addr().String()+path, strings.NewReader(body))
		if body == "" {
			request, _ = http.NewRequest("GET", "http://"+listener.Addr().String()+path, nil)
		}
		response, err := client.Do(request)
		if err != nil {
			log.Fatal(err)
		}
		content, _ := io.ReadAll(response.Body)
		all = append(all, &exchange{
			Method: request.Method, Path: path, Status: response.StatusCode,
			Request: whole([]byte(body)), Response: whole(content),
		})
	}
	transport.CloseIdleConnections()
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	if os.Args[3] == "grpc" {
		calls(listener)
	} else {
		requests(listener)
	}
	text, _ := json.Marshal(all)
	if err := os.WriteFile(os.Args[2], text, 0o644); err != nil {
		log.Fatal(err)
	}
}
