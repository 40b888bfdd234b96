// Package notes is an API: plain HTTP, and the messages of the Model Context
// Protocol that a client begins with.
package notes

import (
	"encoding/json"
	"net/http"
)

// Read answers with the notes.
func Read(w http.ResponseWriter, r *http.Request) { w.Write([]byte("the notes")) }

type message struct {
	Version string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id,omitempty"`
	Method  string          `json:"method,omitempty"`
	Result  any             `json:"result,omitempty"`
	Params  struct {
		ProtocolVersion string `json:"protocolVersion"`
	} `json:"params,omitzero"`
}

type object map[string]any

// MCP answers one message per request, and has no stream to listen to.
func MCP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	var in message
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	out := message{Version: "2.0", ID: in.ID, Result: object{}}
	switch in.Method {
	case "initialize":
		out.Result = object{
			"protocolVersion": in.Params.ProtocolVersion,
			"capabilities":    object{"tools": object{}},
			"serverInfo":      object{"name": "notes", "version": "1"},
		}
	case "tools/list":
		out.Result = object{"tools": []object{{"name": "read_notes", "inputSchema": object{"type": "object"}}}}
	case "tools/call":
		out.Result = object{"content": []object{{"type": "text", "text": "the notes"}}}
	}
	if in.ID == nil {
		w.WriteHeader(http.StatusAccepted)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(out)
}
