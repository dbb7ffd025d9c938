// Probe is what the tests' pods run: `probe serve PORT …` answers on TCP and UDP, `probe reach PROTOCOL:ADDRESS:PORT …`
// prints those that answer, `probe open ADDRESS:PORT …` those that take a connection, `probe look NAME …` prints the
// addresses of names, `probe keep FILE [WORDS]` writes and reads, and `probe hold ADDRESS:PORT` keeps one connection and prints a line for each answer on it.
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"
)

const patience = 1000 * time.Millisecond

func main() {
	verb, words := os.Args[1], os.Args[2:]
	switch verb {
	case "serve":
		serve(words)
	case "reach":
		every(words, func(target string) bool {
			protocol, address, _ := strings.Cut(target, ":")
			return answers(protocol, address)
		})
	case "open":
		every(words, func(address string) bool {
			connection, err := net.DialTimeout("tcp", address, patience)
			if err != nil {
				return false
			}
			connection.Close()
			return true
		})
	case "look":
		for _, name := range words {
			limit, cancel := context.WithTimeout(context.Background(), 2*patience)
			found, err := net.DefaultResolver.LookupHost(limit, name)
			cancel()
			check(err)
			fmt.Println(strings.Join(found, " "))
		}
	case "keep":
		if len(words) > 1 {
			check(os.WriteFile(words[0], []byte(words[1]), 0o644))
		}
		content, err := os.ReadFile(words[0])
		check(err)
		fmt.Print(string(content))
	case "hold":
		hold(words[0])
	}
}

func serve(ports []string) {
	for _, port := range ports {
		tcp, err := net.Listen("tcp4", ":"+port)
		check(err)
		udp, err := net.ListenPacket("udp4", ":"+port)
		check(err)
		go func() {
			for {
				connection, err := tcp.Accept()
				check(err)
				go func() {
					defer connection.Close()
					text := make([]byte, 4096)
					for {
						count, err := connection.Read(text)
						if err != nil {
							return
						}
						if strings.HasPrefix(string(text[:count]), "GET ") {
							fmt.Fprintf(connection, "HTTP/1.0 200 OK\r\n\r\n%s\n", connection.RemoteAddr())
							return
						}
						connection.Write(text[:count])
					}
				}()
			}
		}()
		go func() {
			text := make([]byte, 64)
			for {
				count, from, err := udp.ReadFrom(text)
				check(err)
				udp.WriteTo(text[:count], from)
			}
		}()
	}
	fmt.Println("serving")
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM)
	<-ended
}

func every(targets []string, there func(string) bool) {
	var all sync.WaitGroup
	for _, target := range targets {
		all.Add(1)
		go func(target string) {
			defer all.Done()
			if there(target) {
				fmt.Println(target)
			}
		}(target)
	}
	all.Wait()
}

func answers(protocol, address string) bool {
	connection, err := net.DialTimeout(protocol, address, patience)
	if err != nil {
		return false
	}
	defer connection.Close()
	return echoed(connection)
}

func echoed(connection net.Conn) bool {
	connection.SetDeadline(time.Now().Add(patience))
	if _, err := connection.Write([]byte("here")); err != nil {
		return false
	}
	text := make([]byte, 4)
	count, err := connection.Read(text)
	return err == nil && string(text[:count]) == "here"
}

func hold(address string) {
	connection, err := net.DialTimeout("tcp", address, patience)
	check(err)
	for echoed(connection) {
		fmt.Println("held")
		time.Sleep(200 * time.Millisecond)
	}
	fmt.Println("lost")
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
