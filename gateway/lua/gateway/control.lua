-- The watcher's side door, on a unix socket: which addresses serve, and what was counted.
local counters = require "gateway.counters"
local leave = require "gateway.leave"
local peers = require "gateway.peers"

local M = {}

function M.put_peers()
    ngx.req.read_body()
    local stored, why = peers.put(ngx.req.get_body_data() or "")
    if not stored then
        ngx.status = 500
        ngx.print(why)
        return
    end
    ngx.print(peers.get())
end

function M.put_leave()
    local stored, why = leave.begin()
    if not stored then
        ngx.status = 500
        ngx.print(why)
    end
end

function M.get_counters()
    ngx.print(counters.text())
end

return M
