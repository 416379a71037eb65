"""What all REST endpoints share: paging and problem JSON."""

from rest_framework.pagination import PageNumberPagination
from rest_framework.views import exception_handler as problem_response

__all__ = ["Pages", "problem_response"]


class Pages(PageNumberPagination):
    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = 500
