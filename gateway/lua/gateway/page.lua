-- The maintenance page: HTML or a problem document, always 503, whatever the method was.
local counters = require "gateway.counters"
local negotiation = require "gateway.negotiation"

local M = {}

local PLACEHOLDER = '<!--# echo var="request_id" -->'
local PLAIN = "<!doctype html><title>Unavailable</title><h1>The site is unavailable for a moment.</h1>"
local path, retry_after

function M.configure(page, seconds)
    path, retry_after = page, seconds
end

-- The page is read each time: a new one is in place as soon as its file is.
local function html(request)
    local file = io.open(path)
    local text = file and file:read("*a")
    if file then
        file:close()
    end
    if not text then
        return PLAIN
    end
    local from, to = text:find(PLACEHOLDER, 1, true)
    while from do
        text = text:sub(1, from - 1) .. request .. text:sub(to + 1)
        from, to = text:find(PLACEHOLDER, from + #request, true)
    end
    return text
end

local function problem(request)
    return '{"type":"about:blank","title":"Service Unavailable","status":503,"detail":"The site is unavailable for a '
        .. 'moment. Nothing is known to have been done with this request.","retry_after":' .. retry_after
        .. ',"request_id":"' .. request .. '"}\n'
end

function M.serve()
    counters.count_page()
    local body
    if negotiation.wants_json(ngx.var.request_uri or "/", negotiation.accept()) then
        ngx.header["Content-Type"] = "application/problem+json"
        body = problem(ngx.var.request_name)
    else
        ngx.header["Content-Type"] = "text/html; charset=utf-8"
        body = html(ngx.var.request_name)
    end
    ngx.status = 503
    ngx.header["Content-Length"] = #body
    ngx.print(body)
end

return M
