-- What Nginx itself refuses (a bad request, another host, a body too big): a few words, as text or a problem document.
local negotiation = require "gateway.negotiation"

local M = {}

local WORDS = {
    [400] = "Bad Request", [403] = "Forbidden", [404] = "Not Found", [405] = "Method Not Allowed", [408] = "Request Timeout", [411] = "Length Required",
    [412] = "Precondition Failed", [413] = "Content Too Large", [414] = "URI Too Long",
    [416] = "Range Not Satisfiable", [421] = "Misdirected Request", [429] = "Too Many Requests",
    [431] = "Request Header Fields Too Large", [501] = "Not Implemented", [505] = "HTTP Version Not Supported",
}

-- A try more is let through after so long (10 a minute in nginx.conf).
local TRY_AGAIN_SECONDS = 6

function M.serve()
    local status = ngx.status
    if status == 429 then
        ngx.header["Retry-After"] = TRY_AGAIN_SECONDS
    end
    local words = WORDS[status] or "Refused"
    local body
    if negotiation.wants_json(ngx.var.request_uri or "/", negotiation.accept()) then
        ngx.header["Content-Type"] = "application/problem+json"
        body = '{"type":"about:blank","title":"' .. words .. '","status":' .. status
            .. ',"request_id":"' .. ngx.var.request_name .. '"}\n'
    else
        ngx.header["Content-Type"] = "text/plain; charset=utf-8"
        body = status .. " " .. words .. "\n"
    end
    ngx.header["Content-Length"] = #body
    ngx.print(body)
end

return M
