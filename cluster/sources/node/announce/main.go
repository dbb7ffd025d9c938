// Announce is the last plug-in of a pod's network: it tells the keeper the pod's address, and waits until the
// policies hold for it. Nothing of the pod runs before that.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"
)

const patience = 20 * time.Second

type configuration struct {
	Version  string          `json:"cniVersion"`
	Socket   string          `json:"socket"`
	Previous json.RawMessage `json:"prevResult"`
}

type result struct {
	Addresses []struct {
		Address string `json:"address"`
	} `json:"ips"`
}

func main() {
	if err := do(os.Getenv("CNI_COMMAND")); err != nil {
		problem := map[string]any{"cniVersion": "0.4.0", "code": 11, "msg": err.Error()}
		json.NewEncoder(os.Stdout).Encode(problem)
		os.Exit(1)
	}
}

func do(command string) error {
	if command == "VERSION" {
		fmt.Println(`{"cniVersion":"0.4.0","supportedVersions":["0.3.1","0.4.0","1.0.0"]}`)
		return nil
	}
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	var given configuration
	if err := json.Unmarshal(text, &given); err != nil {
		return err
	}
	switch command {
	case "ADD":
		if err := add(given); err != nil {
			return err
		}
		_, err = os.Stdout.Write(given.Previous)
		return err
	case "DEL":
		// What is gone needs no answer: the pod's end must not wait for the keeper.
		_ = tell(given.Socket, map[string]string{"verb": "gone", "container": os.Getenv("CNI_CONTAINERID")}, time.Second)
	}
	return nil
}

func add(given configuration) error {
	var previous result
	if err := json.Unmarshal(given.Previous, &previous); err != nil || len(previous.Addresses) == 0 {
		return fmt.Errorf("the plug-ins before gave the pod no address (%v)", err)
	}
	pod := named(os.Getenv("CNI_ARGS"))
	address, _, _ := strings.Cut(previous.Addresses[0].Address, "/")
	return tell(given.Socket, map[string]string{
		"verb":      "here",
		"container": os.Getenv("CNI_CONTAINERID"),
		"namespace": pod["K8S_POD_NAMESPACE"],
		"name":      pod["K8S_POD_NAME"],
		"uid":       pod["K8S_POD_UID"],
		"address":   address,
	}, patience)
}

func named(arguments string) map[string]string {
	found := map[string]string{}
	for _, pair := range strings.Split(arguments, ";") {
		name, value, _ := strings.Cut(pair, "=")
		found[name] = value
	}
	return found
}

func tell(socket string, message map[string]string, limit time.Duration) error {
	connection, err := net.DialTimeout("unix", socket, limit)
	if err != nil {
		return fmt.Errorf("the keeper of the network policies does not answer (`make cluster-up` starts it): %w", err)
	}
	defer connection.Close()
	connection.SetDeadline(time.Now().Add(limit))
	if err := json.NewEncoder(connection).Encode(message); err != nil {
		return err
	}
	var answer struct {
		Problem string `json:"problem"`
	}
	if err := json.NewDecoder(connection).Decode(&answer); err != nil {
		return fmt.Errorf("the keeper of the network policies did not answer in %s: %w", limit, err)
	}
	if answer.Problem != "" {
		return fmt.Errorf("%s", answer.Problem)
	}
	return nil
}
